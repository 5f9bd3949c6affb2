//! The borders between the processes: the only place where protobuf types exist.
//!
//! ```text
//!            gRPC (one connected Unix stream)          lane (SOCK_SEQPACKET)
//!  preauth ─────────── preauth.proto ──────────▶ monitor ── Welcome, Connection, Session ──▶ preauth
//!  preauth ─────────── session.proto ──────────▶ session ── pipes, terminals, sockets, tunnels ▶ preauth
//!                                                monitor ── SessionStart ──────────────────▶ session
//!                                                session ── SessionReady ──────────────────▶ monitor
//!  sshd-privsepctl ──── admin.proto ────────────▶ monitor
//!                                      monitor, then session ── accounting.proto ──────────▶ accounting ──▶ wtmpdb
//!                                                monitor ◀─ pam.proto, one socket, in turns ─▶ pam
//! ```
//!
//! Calls go from the less trusted process to the more trusted one and carry typed values with
//! limits; descriptors go the other way, through the [`lane`]. Whatever crosses is converted here
//! from its protobuf type to a domain type, with its limits, and nowhere else. A message that does
//! not convert is a [`Violation`]: the server ends the connection, it does not answer.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod admin;
mod convert;
pub mod grpc;
pub mod identity;
pub mod lane;
pub mod network;
pub mod pam;
pub mod peer;
pub mod preauth;
pub mod reactor;
pub mod session;
pub mod stored;
pub mod wtmpdb;

pub use grpc::{CallError, ServeEnd, Violation};
pub use identity::{Address, ConnectionId, Endpoint, Endpoints};
pub use network::{Network, NetworkError};

#[allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    reason = "generated from proto/, which documents every message"
)]
mod proto {
    pub mod types {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.types.v1");
        }
    }
    pub mod accounting {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.accounting.v1");
        }
    }
    pub mod admin {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.admin.v1");
        }
    }
    pub mod lane {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.lane.v1");
        }
    }
    pub mod pam {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.pam.v1");
        }
    }
    pub mod preauth {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.preauth.v1");
        }
    }
    pub mod stored {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.stored.v1");
        }
    }
    pub mod session {
        pub mod v1 {
            tonic::include_proto!("sshd_privsep.session.v1");
        }
    }
}
