//! What users are told with `ssh -v` (SSH_MSG_DEBUG, RFC 4253 section 11.3), in sshd's words.

use rpc::session::{Address, Remark};
use wire::message::Debug;

/// Of a command above [`COMMAND_LIMIT`](rpc::session::COMMAND_LIMIT), of which sshd's shell would say so.
pub(super) const UNFIT_COMMAND: &str = "The command is too long for execve(2), or has a NUL.";

/// The payload that says this.
pub(super) fn debug(text: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    let message = Debug {
        always_display: 0,
        message: text.as_bytes(),
        language: b"",
    };
    message.encode(&mut payload);
    payload
}

/// What is said of an answer to a request to listen at `address`.
pub(super) fn of_listening(remark: Remark, address: &Address) -> String {
    match (remark, address) {
        (Remark::AddressOverridden, Address::Port(port)) => {
            let host = &port.host;
            format!("Forwarding listen address \"{host}\" overridden by server GatewayPorts")
        }
        (remark, _) => of(remark).to_owned(),
    }
}

/// What is said of an answer.
pub(super) fn of(remark: Remark) -> &'static str {
    match remark {
        Remark::PortForwardingDisabled => "Server has disabled port forwarding.",
        Remark::StreamLocalForwardingDisabled => "Server has disabled streamlocal forwarding.",
        Remark::ForwardingRefused => "port forwarding refused",
        Remark::AddressOverridden => "Forwarding listen address overridden by server GatewayPorts",
        Remark::X11DisabledForKey => "X11 forwarding disabled by key options.",
        Remark::NoXauth => "No xauth program; cannot forward X11.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::session::Port;

    #[test]
    fn a_remark_is_a_debug_message() {
        assert_eq!(debug("no"), b"\x04\0\0\0\0\x02no\0\0\0\0");
    }

    #[test]
    fn an_address_that_is_overridden_is_told() {
        let address = Address::Port(Port {
            host: "::1".to_owned(),
            port: 0,
        });
        assert_eq!(
            of_listening(Remark::AddressOverridden, &address),
            "Forwarding listen address \"::1\" overridden by server GatewayPorts"
        );
    }
}
