//! The admission table: which message number is allowed when. Nothing looks at a message that this
//! table does not let in.
//!
//! `admission.txt` beside this crate's manifest shows all of it. A test here compares it with the
//! code, so that each change of the table shows in review; `tests/server/table.rs` brings a
//! connection into each stage and sends all 256 numbers.

use wire::message::number;

use crate::error::{Error, Misbehaviour};
use crate::kexinit::StrictKex;

/// Where the connection is, as far as messages are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client's first SSH_MSG_KEXINIT has not come; whether it is strict is not known.
    Opening,
    /// The client's SSH_MSG_KEXINIT has come, its SSH_MSG_NEWKEYS has not.
    KeyExchange(StrictKex, Expected),
    /// The first packet under the first keys.
    FirstUnderKeys,
    /// A service has to be requested.
    Service,
    /// `ssh-userauth` runs.
    Authentication,
    /// The same, and the user was asked something (RFC 4256).
    Asked,
    /// `ssh-connection` runs.
    Connection,
}

/// The next message of a key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The packet that was sent on a wrong guess.
    WrongGuess,
    /// The method's first message.
    MethodInit,
    /// SSH_MSG_KEX_DH_GEX_REQUEST, the first message of a group exchange. Its old form, with the
    /// number of the other methods' first message, is refused, as by OpenSSH.
    GroupRequest,
    /// SSH_MSG_KEX_DH_GEX_INIT
    GroupInit,
    /// SSH_MSG_NEWKEYS
    NewKeys,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Decode it and act.
    Handle,
    /// Drop it.
    Ignore,
    /// Answer SSH_MSG_UNIMPLEMENTED (RFC 4253 section 11.4).
    Unimplemented,
    /// Disconnect.
    Refuse,
}

/// The first number that an authentication method may use (RFC 4250 section 4.1.2), and the few
/// unassigned ones before it.
const METHOD_FIRST: u8 = number::USERAUTH_BANNER + 1;

/// The table.
pub(crate) fn verdict(stage: Stage, message: u8) -> Verdict {
    use Verdict::{Handle, Ignore, Refuse, Unimplemented};

    let in_key_exchange = matches!(stage, Stage::Opening | Stage::KeyExchange(..));
    match message {
        number::DISCONNECT => Handle,

        // RFC 4253 section 11 allows these at any time; strict key exchange takes that back, since
        // inserting them is how Terrapin shifts sequence numbers.
        number::IGNORE | number::UNIMPLEMENTED | number::DEBUG => match stage {
            Stage::KeyExchange(StrictKex::On, _) => Refuse,
            Stage::Opening
            | Stage::KeyExchange(StrictKex::Off, _)
            | Stage::FirstUnderKeys
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked
            | Stage::Connection => Ignore,
        },

        number::SERVICE_REQUEST => match stage {
            // Paramiko asks again before each attempt to log in.
            Stage::FirstUnderKeys | Stage::Service | Stage::Authentication | Stage::Asked => Handle,
            Stage::Opening | Stage::KeyExchange(..) | Stage::Connection => Refuse,
        },

        // RFC 8308 section 2.4: a client sends it right after its first NEWKEYS, and at no other
        // time; the second place is for servers.
        number::EXT_INFO => match stage {
            Stage::FirstUnderKeys => Handle,
            Stage::Opening
            | Stage::KeyExchange(..)
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked
            | Stage::Connection => Refuse,
        },

        number::KEXINIT => match stage {
            Stage::KeyExchange(..) => Refuse,
            Stage::Opening
            | Stage::FirstUnderKeys
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked
            | Stage::Connection => Handle,
        },
        number::NEWKEYS => match stage {
            Stage::KeyExchange(_, Expected::NewKeys) => Handle,
            Stage::KeyExchange(..)
            | Stage::Opening
            | Stage::FirstUnderKeys
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked
            | Stage::Connection => Refuse,
        },
        number::KEX_METHOD_FIRST..=number::KEX_METHOD_LAST => match (stage, message) {
            (Stage::KeyExchange(_, Expected::WrongGuess), _)
            | (Stage::KeyExchange(_, Expected::MethodInit), number::KEX_ECDH_INIT)
            | (Stage::KeyExchange(_, Expected::GroupRequest), number::KEX_DH_GEX_REQUEST)
            | (Stage::KeyExchange(_, Expected::GroupInit), number::KEX_DH_GEX_INIT) => Handle,
            _ => Refuse,
        },

        // From here on nothing belongs into a key exchange (RFC 4253 section 7.1), unknown numbers
        // included. Zero is no message number, and the next four are a server's to send.
        0
        | number::SERVICE_ACCEPT
        | number::USERAUTH_FAILURE
        | number::USERAUTH_SUCCESS
        | number::USERAUTH_BANNER => Refuse,
        _ if in_key_exchange => Refuse,

        number::USERAUTH_REQUEST => match stage {
            // After a question too: it is abandoned (RFC 4256 section 3.1).
            Stage::Authentication | Stage::Asked => Handle,
            // RFC 4252 section 5.1: silently, after success.
            Stage::Connection => Ignore,
            Stage::Opening | Stage::KeyExchange(..) | Stage::FirstUnderKeys | Stage::Service => {
                Refuse
            }
        },
        METHOD_FIRST..=number::USERAUTH_LAST => match stage {
            // A method's own messages. No other method here has any from the client.
            Stage::Asked if message == number::USERAUTH_INFO_RESPONSE => Handle,
            Stage::Authentication | Stage::Asked => Unimplemented,
            Stage::Connection => Ignore,
            Stage::Opening | Stage::KeyExchange(..) | Stage::FirstUnderKeys | Stage::Service => {
                Refuse
            }
        },

        number::CONNECTION_FIRST..=number::CONNECTION_LAST => match stage {
            Stage::Connection => Handle,
            // RFC 4252 section 6: an error before authentication has succeeded.
            Stage::Opening
            | Stage::KeyExchange(..)
            | Stage::FirstUnderKeys
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked => Refuse,
        },

        number::PING => match stage {
            Stage::Connection => Handle,
            // A stranger is answered nothing that it does not need.
            Stage::Opening
            | Stage::KeyExchange(..)
            | Stage::FirstUnderKeys
            | Stage::Service
            | Stage::Authentication
            | Stage::Asked => Unimplemented,
        },

        _ => Unimplemented,
    }
}

/// The error of a message that was refused.
pub(crate) fn refusal(stage: Stage, message: u8, sequence: u32) -> Error {
    match stage {
        Stage::KeyExchange(StrictKex::On, _) => {
            Misbehaviour::StrictKeyExchange { message, sequence }.into()
        }
        _ => Misbehaviour::Unexpected {
            message,
            stage: stage.describe(),
        }
        .into(),
    }
}

impl Stage {
    fn describe(self) -> &'static str {
        match self {
            Self::Opening => "before the key exchange",
            Self::KeyExchange(..) => "during key exchange",
            Self::FirstUnderKeys | Self::Service => "before a service was requested",
            Self::Authentication | Self::Asked => "before authentication has succeeded",
            Self::Connection => "after authentication",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The columns of `admission.txt`.
    const STAGES: [Stage; 16] = [
        Stage::Opening,
        EXCHANGES[0],
        EXCHANGES[1],
        EXCHANGES[2],
        EXCHANGES[3],
        EXCHANGES[4],
        EXCHANGES[5],
        EXCHANGES[6],
        EXCHANGES[7],
        EXCHANGES[8],
        EXCHANGES[9],
        Stage::FirstUnderKeys,
        Stage::Service,
        Stage::Authentication,
        Stage::Asked,
        Stage::Connection,
    ];

    /// What a column is called. No wildcard: a new stage is a new column.
    fn title(stage: Stage) -> String {
        let (exchange, expected) = match stage {
            Stage::Opening => return "before the client's first KEXINIT".to_owned(),
            Stage::FirstUnderKeys => return "first packet under the first keys".to_owned(),
            Stage::Service => return "before the service request".to_owned(),
            Stage::Authentication => return "authentication".to_owned(),
            Stage::Asked => return "authentication, INFO_RESPONSE to come".to_owned(),
            Stage::Connection => return "connection".to_owned(),
            Stage::KeyExchange(StrictKex::On, expected) => ("strict key exchange", expected),
            Stage::KeyExchange(StrictKex::Off, expected) => ("any other key exchange", expected),
        };
        let next = match expected {
            Expected::WrongGuess => "wrong guess to come",
            Expected::MethodInit => "the method's first message to come",
            Expected::GroupRequest => "KEX_DH_GEX_REQUEST to come",
            Expected::GroupInit => "KEX_DH_GEX_INIT to come",
            Expected::NewKeys => "NEWKEYS to come",
        };
        format!("{exchange}, {next}")
    }

    fn symbol(verdict: Verdict) -> char {
        match verdict {
            Verdict::Handle => '+',
            Verdict::Ignore => '.',
            Verdict::Unimplemented => '?',
            Verdict::Refuse => 'x',
        }
    }

    /// The whole table: a line for each run of numbers that are treated alike.
    fn table() -> String {
        let mut text = "Which message is let in when. Made of src/admission.rs, which a test compares with it.\n\n\
                        + handled, . ignored, ? answered with UNIMPLEMENTED, x disconnected\n\n"
            .to_owned();
        for (stage, letter) in STAGES.into_iter().zip('A'..) {
            writeln!(text, "{letter}  {}", title(stage)).unwrap();
        }
        let letters: String = ('A'..).take(STAGES.len()).collect();
        writeln!(text, "\n         {letters}").unwrap();
        let row = |number| STAGES.map(|stage| symbol(verdict(stage, number)));
        let mut first = 0;
        for number in 0..=255 {
            if number < 255 && row(number + 1) == row(number) {
                continue;
            }
            let numbers = match first {
                _ if first == number => format!("{number}"),
                _ => format!("{first}-{number}"),
            };
            writeln!(
                text,
                "{numbers:>7}  {}",
                row(number).iter().collect::<String>()
            )
            .unwrap();
            first = number.wrapping_add(1);
        }
        text
    }

    #[test]
    fn the_table_that_reviewers_read_is_the_one_in_force() {
        let shown = include_str!("../admission.txt");
        let now = table();
        assert!(shown == now, "admission.txt should be:\n\n{now}");
    }

    const EXCHANGES: [Stage; 10] = [
        Stage::KeyExchange(StrictKex::On, Expected::WrongGuess),
        Stage::KeyExchange(StrictKex::On, Expected::MethodInit),
        Stage::KeyExchange(StrictKex::On, Expected::GroupRequest),
        Stage::KeyExchange(StrictKex::On, Expected::GroupInit),
        Stage::KeyExchange(StrictKex::On, Expected::NewKeys),
        Stage::KeyExchange(StrictKex::Off, Expected::WrongGuess),
        Stage::KeyExchange(StrictKex::Off, Expected::MethodInit),
        Stage::KeyExchange(StrictKex::Off, Expected::GroupRequest),
        Stage::KeyExchange(StrictKex::Off, Expected::GroupInit),
        Stage::KeyExchange(StrictKex::Off, Expected::NewKeys),
    ];

    /// The numbers that get a verdict.
    fn numbers(stage: Stage, wanted: Verdict) -> Vec<u8> {
        (0..=255)
            .filter(|message| verdict(stage, *message) == wanted)
            .collect()
    }

    #[test]
    fn a_key_exchange_lets_in_its_next_message_and_disconnect_only() {
        for stage in EXCHANGES {
            let Stage::KeyExchange(strict, expected) = stage else {
                unreachable!()
            };
            let handled = numbers(stage, Verdict::Handle);
            match expected {
                Expected::MethodInit => assert_eq!(handled, [1, 30]),
                Expected::GroupRequest => assert_eq!(handled, [1, 34]),
                Expected::GroupInit => assert_eq!(handled, [1, 32]),
                Expected::NewKeys => assert_eq!(handled, [1, 21]),
                Expected::WrongGuess => {
                    assert_eq!(
                        handled,
                        std::iter::once(1).chain(30..=49).collect::<Vec<_>>()
                    );
                }
            }
            match strict {
                StrictKex::On => assert!(numbers(stage, Verdict::Ignore).is_empty()),
                StrictKex::Off => assert_eq!(numbers(stage, Verdict::Ignore), [2, 3, 4]),
            }
            assert!(numbers(stage, Verdict::Unimplemented).is_empty());
        }
    }

    #[test]
    fn connection_messages_are_let_in_after_authentication_only() {
        for stage in [
            Stage::Opening,
            Stage::FirstUnderKeys,
            Stage::Service,
            Stage::Authentication,
            Stage::Asked,
        ]
        .into_iter()
        .chain(EXCHANGES)
        {
            for message in 80..=127 {
                assert_eq!(verdict(stage, message), Verdict::Refuse);
            }
        }
        for message in 80..=127 {
            assert_eq!(verdict(Stage::Connection, message), Verdict::Handle);
        }
    }

    #[test]
    fn authentication_is_asked_for_in_its_stage_only() {
        assert_eq!(verdict(Stage::Authentication, 50), Verdict::Handle);
        assert_eq!(verdict(Stage::Asked, 50), Verdict::Handle);
        assert_eq!(verdict(Stage::Connection, 50), Verdict::Ignore);
        for stage in [Stage::Opening, Stage::FirstUnderKeys, Stage::Service] {
            assert_eq!(verdict(stage, 50), Verdict::Refuse);
        }
    }

    #[test]
    fn responses_are_let_in_after_a_question_only() {
        for stage in STAGES {
            let handled = verdict(stage, 61) == Verdict::Handle;
            assert_eq!(handled, stage == Stage::Asked, "{stage:?}");
        }
    }

    #[test]
    fn a_service_may_be_requested_until_the_login() {
        assert_eq!(verdict(Stage::Service, 5), Verdict::Handle);
        assert_eq!(verdict(Stage::Authentication, 5), Verdict::Handle);
        assert_eq!(verdict(Stage::Connection, 5), Verdict::Refuse);
    }

    #[test]
    fn extension_information_is_let_in_right_after_the_first_keys_only() {
        assert_eq!(verdict(Stage::FirstUnderKeys, 7), Verdict::Handle);
        for stage in [
            Stage::Opening,
            Stage::Service,
            Stage::Authentication,
            Stage::Asked,
            Stage::Connection,
        ] {
            assert_eq!(verdict(stage, 7), Verdict::Refuse);
        }
    }

    #[test]
    fn unknown_numbers_are_answered_outside_of_a_key_exchange() {
        for message in [9, 19, 22, 29, 128, 191, 193, 255] {
            assert_eq!(verdict(Stage::Connection, message), Verdict::Unimplemented);
            assert_eq!(verdict(Stage::Service, message), Verdict::Unimplemented);
            assert_eq!(verdict(Stage::Opening, message), Verdict::Refuse);
        }
    }

    #[test]
    fn messages_of_a_server_are_refused_always() {
        for message in [0, 6, 31, 51, 52, 53] {
            for stage in [
                Stage::Opening,
                Stage::Service,
                Stage::Authentication,
                Stage::Asked,
                Stage::Connection,
            ] {
                assert_eq!(
                    verdict(stage, message),
                    Verdict::Refuse,
                    "{message} {stage:?}"
                );
            }
        }
    }
}
