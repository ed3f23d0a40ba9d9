//! HTTP as the data plane speaks it.

pub mod access_record;
