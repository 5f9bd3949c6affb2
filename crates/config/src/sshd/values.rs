//! The kinds of values that sshd_config(5) has, by family.

pub(crate) mod access;
pub(crate) mod environment;
pub(crate) mod identification;
pub(crate) mod limits;
pub(crate) mod network;
pub(crate) mod numbers;
pub(crate) mod paths;
pub(crate) mod session;
pub(crate) mod words;

pub use access::{AuthenticationMethods, PubkeyAuthOptions, UserPattern};
pub use environment::{PermitUserEnvironment, Subsystem, Variable};
pub use limits::{
    ChannelTimeout, MaxStartups, Offence, Overflow, PerSourceNetBlockSize, PerSourcePenalties,
    RekeyLimit,
};
pub use network::{Dscp, ForwardPort, IpQos, ListenAddress, Listener, PermitForward};
pub use numbers::time as parse_time;
pub use paths::{AuthorizedKeysFile, Template, UnknownToken};
pub use session::{Bound, SessionProperty};
pub use words::{
    AddressFamily, Compression, FingerprintHash, Forwarding, GatewayPorts, IgnoreRhosts, LogLevel,
    PermitRootLogin, SyslogFacility, Tunnel, YesNo,
};
