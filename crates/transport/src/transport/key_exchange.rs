//! The connection's key exchanges, the first and the later ones.

use std::time::Instant;

use wire::codec::DecodeError;
use wire::groups::DhGroup;
use wire::message::number;
use wire::names::CompressionAlgorithm;
use wire::quirks::Quirk;

use super::{Established, FirstExchange, Question, Rekey, Service, State, Transport};
use crate::admission::{Expected, Stage};
use crate::cipher::{OpeningKey, SealingKey};
use crate::compression::{Deflater, Inflater};
use crate::error::{Error, Failure, Misbehaviour};
use crate::event::Event;
use crate::exchange::{Exchange, Requested, Server};
use crate::extensions::{self, SecondExtInfo};
use crate::kexinit::{self, ExtInfoWish, Negotiated, Round, StrictKex};
use crate::keys::ExchangeHash;
use crate::outbound::Outbound;
use crate::random::Random;
use crate::rekey::KeyLimits;
use crate::settings::Settings;

impl Transport {
    /// SSH_MSG_KEXINIT
    pub(super) fn handle_kexinit(&mut self, payload: &[u8], sequence: u32) -> Result<(), Error> {
        match self.take_state() {
            State::FirstExchange(FirstExchange {
                client_identification,
                exchange: Exchange::Requested(requested),
            }) => {
                let agreed = requested.handle_kexinit(&self.settings, payload)?;
                // OpenSSH PROTOCOL section 1.10: it must be the first packet, which can be told
                // only now that the client has said that it is strict.
                if agreed.negotiated().strict == StrictKex::On && sequence != 0 {
                    let message = number::KEXINIT;
                    return Err(Misbehaviour::StrictKeyExchange { message, sequence }.into());
                }
                let exchange = Exchange::Agreed(agreed);
                self.state = State::FirstExchange(FirstExchange {
                    client_identification,
                    exchange,
                });
                Ok(())
            }
            State::Established(established) => {
                let requested = match established.rekey {
                    Rekey::Running(Exchange::Requested(requested)) => requested,
                    Rekey::Idle => self.request_exchange(established.negotiated.strict)?,
                    Rekey::Running(_) => return Err(Failure::Closed.into()),
                };
                let agreed = requested.handle_kexinit(&self.settings, payload)?;
                let rekey = Rekey::Running(Exchange::Agreed(agreed));
                self.state = State::Established(Established {
                    rekey,
                    ..established
                });
                Ok(())
            }
            State::Identification(_) | State::FirstExchange(_) | State::Closed => {
                Err(Failure::Closed.into())
            }
        }
    }

    /// The packet that was sent on a wrong guess.
    pub(super) fn skip_guess(&mut self) -> Result<(), Error> {
        self.advance_exchange(|_, exchange, _| match exchange {
            Exchange::Agreed(agreed) => Ok((Exchange::Agreed(agreed.skip_guess()), ())),
            _ => Err(Failure::Closed.into()),
        })
    }

    /// A message of the key exchange method.
    pub(super) fn handle_kex_message(&mut self, payload: &[u8]) -> Result<Event<'static>, Error> {
        self.advance_exchange(|transport, exchange, context| {
            let server = Server {
                settings: &transport.settings,
                client_identification: context.client_identification,
            };
            match exchange {
                Exchange::Agreed(agreed) => agreed.handle_message(server, payload),
                Exchange::Offered(offered) => offered.handle_message(server, payload),
                _ => Err(Failure::Closed.into()),
            }
        })
    }

    /// See [`Transport::handle_group`].
    pub(super) fn answer_group(&mut self, group: Option<DhGroup>) -> Result<(), Error> {
        if self.question() != Some(Question::Group) {
            return Err(Failure::NoQuestion.into());
        }
        self.advance_exchange(|transport, exchange, _| match exchange {
            Exchange::Choosing(choosing) => {
                let (payload, offered) = choosing.handle_group(group)?;
                transport.push(&payload)?;
                Ok((Exchange::Offered(offered), ()))
            }
            _ => Err(Failure::Closed.into()),
        })
    }

    /// See [`Transport::handle_signature`].
    pub(super) fn answer_signature(&mut self, signature: &[u8]) -> Result<(), Error> {
        if self.question() != Some(Question::Signature) {
            return Err(Failure::NoQuestion.into());
        }
        self.advance_exchange(|transport, exchange, context| match exchange {
            Exchange::Signing(signing) => {
                let (reply, sealing, awaiting) =
                    signing.handle_signature(signature, context.session_identifier)?;
                transport.push(&reply)?;
                let negotiated = &awaiting.negotiated;
                transport.switch_sealing_key(sealing, negotiated, context.service)?;
                Ok((Exchange::AwaitingNewKeys(awaiting), ()))
            }
            _ => Err(Failure::Closed.into()),
        })
    }

    /// SSH_MSG_NEWKEYS, and what RFC 8308 section 2.4 wants right after the first one.
    fn switch_sealing_key(
        &mut self,
        key: SealingKey,
        negotiated: &Negotiated,
        service: &Service,
    ) -> Result<(), Error> {
        self.push(&[number::NEWKEYS])?;
        let deflater =
            compressed(negotiated.compression_server_to_client, service).then(Deflater::new);
        self.outbound.replace_key(key, negotiated.strict, deflater);
        match negotiated.ext_info {
            ExtInfoWish::Wanted => self.push(&extensions::announcement(&self.settings))?,
            ExtInfoWish::Unwanted => {}
        }
        for pong in self.pongs.release() {
            self.push(&pong)?;
        }
        Ok(())
    }

    /// SSH_MSG_NEWKEYS of the client: its new key is in use from the next packet on.
    pub(super) fn handle_new_keys(&mut self, now: Instant, payload: &[u8]) -> Result<(), Error> {
        match payload.len() {
            1 => {}
            length => {
                let source = DecodeError::Trailing(length.saturating_sub(1));
                return Err(Misbehaviour::Malformed {
                    message: number::NEWKEYS,
                    source,
                }
                .into());
            }
        }
        let established = match self.take_state() {
            State::FirstExchange(FirstExchange {
                client_identification,
                exchange: Exchange::AwaitingNewKeys(awaiting),
            }) => {
                let service = Service::FirstUnderKeys;
                let limits =
                    self.switch_opening_key(now, awaiting.opening, &awaiting.negotiated, &service);
                Established {
                    client_identification,
                    // Of the first exchange, and so it stays (RFC 4253 section 7.2).
                    session_identifier: awaiting.hash,
                    negotiated: awaiting.negotiated,
                    limits,
                    rekey: Rekey::Idle,
                    second_ext_info: SecondExtInfo::Unwanted,
                    service,
                }
            }
            State::Established(established) => {
                let Rekey::Running(Exchange::AwaitingNewKeys(awaiting)) = established.rekey else {
                    return Err(Failure::Closed.into());
                };
                let service = &established.service;
                let limits =
                    self.switch_opening_key(now, awaiting.opening, &awaiting.negotiated, service);
                Established {
                    negotiated: awaiting.negotiated,
                    limits,
                    rekey: Rekey::Idle,
                    ..established
                }
            }
            State::Identification(_) | State::FirstExchange(_) | State::Closed => {
                return Err(Failure::Closed.into());
            }
        };
        self.state = State::Established(established);
        Ok(())
    }

    /// The limits of the keys that are in use from now on.
    fn switch_opening_key(
        &mut self,
        now: Instant,
        key: OpeningKey,
        negotiated: &Negotiated,
        service: &Service,
    ) -> KeyLimits {
        let inflater =
            compressed(negotiated.compression_client_to_server, service).then(Inflater::new);
        self.inbound.replace_key(key, negotiated.strict, inflater);
        if self.quirks.has(Quirk::NoRekey) {
            return KeyLimits::none();
        }
        KeyLimits::new(
            self.user.rekey,
            negotiated.client_to_server.cipher,
            negotiated.server_to_client.cipher,
            now,
        )
    }

    /// Takes the running exchange one step further. If that fails, the connection is closed.
    fn advance_exchange<T>(
        &mut self,
        step: impl FnOnce(&mut Self, Exchange, ExchangeContext<'_>) -> Result<(Exchange, T), Error>,
    ) -> Result<T, Error> {
        match self.take_state() {
            State::FirstExchange(FirstExchange {
                client_identification,
                exchange,
            }) => {
                let context = ExchangeContext {
                    client_identification: &client_identification,
                    session_identifier: None,
                    service: &Service::FirstUnderKeys,
                };
                let (exchange, result) = step(self, exchange, context)?;
                self.state = State::FirstExchange(FirstExchange {
                    client_identification,
                    exchange,
                });
                Ok(result)
            }
            State::Established(established) => {
                let Rekey::Running(exchange) = established.rekey else {
                    return Err(Failure::Closed.into());
                };
                let context = ExchangeContext {
                    client_identification: &established.client_identification,
                    session_identifier: Some(&established.session_identifier),
                    service: &established.service,
                };
                let (exchange, result) = step(self, exchange, context)?;
                let rekey = Rekey::Running(exchange);
                self.state = State::Established(Established {
                    rekey,
                    ..established
                });
                Ok(result)
            }
            State::Identification(_) | State::Closed => Err(Failure::Closed.into()),
        }
    }

    /// Asks for new keys if those in use have carried enough.
    pub(super) fn rekey_if_used(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Established(Established {
                service: Service::Connection,
                rekey: Rekey::Idle,
                limits,
                ..
            }) if limits.reached_by(self.inbound.traffic(), self.outbound.traffic()) => {
                self.start_rekey()
            }
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => Ok(()),
        }
    }

    /// Asks for new keys if those in use are too old.
    pub(super) fn rekey_if_old(&mut self, now: Instant) -> Result<(), Error> {
        match self.poll_timeout() {
            Some(deadline) if now >= deadline => self.start_rekey(),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks for new keys; only after login and while no keys are exchanged.
    pub(super) fn start_rekey(&mut self) -> Result<(), Error> {
        let strict = match &self.state {
            State::Established(Established {
                service: Service::Connection,
                rekey: Rekey::Idle,
                negotiated,
                ..
            }) => negotiated.strict,
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => return Ok(()),
        };
        let requested = self.request_exchange(strict)?;
        if let State::Established(established) = &mut self.state {
            established.rekey = Rekey::Running(Exchange::Requested(requested));
        }
        Ok(())
    }

    fn request_exchange(&mut self, strict: StrictKex) -> Result<Requested, Error> {
        request_exchange(
            &self.settings,
            &mut *self.random,
            &mut self.outbound,
            Round::Again(strict),
        )
    }
}

/// What a step of a key exchange needs to know of the connection.
struct ExchangeContext<'c> {
    client_identification: &'c [u8],
    /// `None` in the first exchange.
    session_identifier: Option<&'c ExchangeHash>,
    /// What runs beside the exchange.
    service: &'c Service,
}

/// Whether new keys carry compressed payloads from their first packet on.
fn compressed(algorithm: CompressionAlgorithm, service: &Service) -> bool {
    match algorithm {
        CompressionAlgorithm::None => false,
        CompressionAlgorithm::ZlibDelayed => matches!(service, Service::Connection),
    }
}

/// Sends our SSH_MSG_KEXINIT.
pub(super) fn request_exchange(
    settings: &Settings,
    random: &mut (dyn Random + Send),
    outbound: &mut Outbound,
    round: Round,
) -> Result<Requested, Error> {
    let mut cookie = [0; 16];
    random.fill(&mut cookie).map_err(Failure::from)?;
    let payload = kexinit::ours(settings, cookie, round)?;
    outbound.push(&payload, random)?;
    Ok(Requested::new(payload, round))
}

/// Whether the exchange is a strict one, as far as is known.
pub(super) fn strictness(exchange: &Exchange) -> StrictKex {
    exchange
        .negotiated()
        .map_or(StrictKex::Off, |negotiated| negotiated.strict)
}

/// The stage while the client is in a key exchange; `None` while only we are.
pub(super) fn exchange_stage(exchange: &Exchange, strict: StrictKex) -> Option<Stage> {
    let expected = match exchange {
        Exchange::Requested(_) => return None,
        Exchange::Agreed(agreed) => agreed.expected(),
        Exchange::Choosing(_) | Exchange::Offered(_) => Expected::GroupInit,
        Exchange::Signing(_) | Exchange::AwaitingNewKeys(_) => Expected::NewKeys,
    };
    Some(Stage::KeyExchange(strict, expected))
}
