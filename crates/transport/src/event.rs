//! What the transport tells and asks the outside.

use wire::exchange::ExchangeValues;
use wire::groups::GroupRequest;
use wire::userauth::{AuthRequest, Responses};

/// Something that the outside must know or answer.
///
/// [`ChooseGroup`](Self::ChooseGroup), [`SignExchange`](Self::SignExchange),
/// [`Authenticate`](Self::Authenticate) and [`Answer`](Self::Answer) are questions: until they are
/// answered, no input is taken.
pub enum Event<'b> {
    /// Asks for a group to exchange keys in (RFC 4419); answered with
    /// [`handle_group`](crate::Transport::handle_group).
    ChooseGroup(GroupRequest),
    /// Asks for the host key's signature on the exchange hash of these values; answered with
    /// [`handle_signature`](crate::Transport::handle_signature).
    SignExchange(ExchangeValues),
    /// Asks whether the user may log in; answered with
    /// [`handle_auth_outcome`](crate::Transport::handle_auth_outcome).
    Authenticate(AuthRequest),
    /// The same, with the user's responses to
    /// [`AuthOutcome::InfoRequest`](wire::userauth::AuthOutcome::InfoRequest).
    ///
    /// Passwords and responses lie in the bytes of the input that were consumed, too: they are to be
    /// wiped there.
    Answer(Responses),
    /// A message of the connection protocol (numbers 80 to 127), after authentication only. The
    /// payload lies in the input buffer, where it was opened, or in the transport, if it came
    /// compressed.
    Packet(&'b [u8]),
    /// The client has ended the connection.
    Disconnected {
        /// One of RFC 4250 section 4.2.2, or whatever the client made up.
        reason: u32,
        /// Escaped and cut.
        description: String,
    },
}

/// What became of the input.
pub struct Step<'b> {
    /// Bytes to drop from the front of the input; the event borrows from them.
    pub consumed: usize,
    /// What follows from them.
    pub event: Option<Event<'b>>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Until the first key exchange is complete.
    Handshake,
    /// Until the user has logged in.
    Authentication,
    /// The connection protocol runs.
    Connection,
    /// Over; what output there is may still be written.
    Closed,
}
