//! HTTP/1.1 without sockets: request heads, bodies, digest authentication, ranges, conditionals
//! and response heads (RFC 9110, RFC 9112, RFC 7616).
//!
//! Bytes, times and identities come in; heads, verdicts and [plans](plan) come out. Who reads
//! and writes the connection, what a path means and what a body holds are not known here.

pub mod access_record;
pub mod body;
pub mod conditional;
pub mod digest;
pub mod gunzip;
pub mod plan;
pub mod range;
pub mod request;
pub mod response;
