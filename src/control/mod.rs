//! The control plane: configuration, command line, logs, metrics, watch page, lifecycle.
//!
//! Cold path: it may allocate and may be slow, and where it dies viewers do not notice. No media
//! byte passes here.

pub mod inspect;
