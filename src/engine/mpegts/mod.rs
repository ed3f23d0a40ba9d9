//! MPEG-2 transport streams (ISO/IEC 13818-1).

pub mod crc;
pub mod demux;
pub mod error;
pub mod mux;
pub mod packet;
pub mod pes;
pub mod psi;
mod sync;
