//! The services under the keys: user authentication, then the connection protocol.

use std::mem;

use wire::message::{
    BANNER_LIMIT, DisconnectReason, ServiceAccept, ServiceRequest, UserauthBanner,
};
use wire::names::CompressionAlgorithm;
use wire::userauth::AuthOutcome;

use super::{DESCRIPTION_LIMIT, Established, Rekey, Service, State, Transport};
use crate::error::{Error, Failure, Incompatibility};
use crate::event::Event;
use crate::extensions::{self, SecondExtInfo};
use crate::peer_text::printable;
use crate::userauth::{self, Authentication, Decided, Pending};

/// The service that a client has to request first.
const AUTHENTICATION_SERVICE: &str = "ssh-userauth";

impl Transport {
    /// SSH_MSG_EXT_INFO
    pub(super) fn handle_ext_info(&mut self, payload: &[u8]) -> Result<(), Error> {
        let wanted = extensions::second_wanted(payload)?;
        if let State::Established(established) = &mut self.state {
            established.second_ext_info = wanted;
        }
        Ok(())
    }

    /// SSH_MSG_SERVICE_REQUEST
    pub(super) fn handle_service_request(&mut self, payload: &[u8]) -> Result<(), Error> {
        let request =
            ServiceRequest::decode(payload).map_err(Error::malformed(ServiceRequest::NUMBER))?;
        if request.service != AUTHENTICATION_SERVICE {
            let service = printable(request.service.as_bytes(), DESCRIPTION_LIMIT);
            return Err(Incompatibility::Service { service }.into());
        }
        let mut answer = Vec::new();
        ServiceAccept {
            service: AUTHENTICATION_SERVICE,
        }
        .encode(&mut answer);
        self.push(&answer)?;
        if let State::Established(established) = &mut self.state
            && matches!(
                established.service,
                Service::FirstUnderKeys | Service::Unrequested
            )
        {
            established.service = Service::Authentication(Authentication::Unbound);
        }
        // Requested again, the service goes on with the user that it has.
        Ok(())
    }

    /// SSH_MSG_USERAUTH_REQUEST
    pub(super) fn handle_userauth_request(
        &mut self,
        payload: &[u8],
    ) -> Result<Event<'static>, Error> {
        self.decide_authentication(|authentication| {
            let (pending, request) = authentication.handle_request(payload)?;
            Ok((pending, Event::Authenticate(request)))
        })
    }

    /// SSH_MSG_USERAUTH_INFO_RESPONSE
    pub(super) fn handle_info_response(&mut self, payload: &[u8]) -> Result<Event<'static>, Error> {
        self.decide_authentication(|authentication| {
            let (pending, responses) = authentication.handle_responses(payload)?;
            Ok((pending, Event::Answer(responses)))
        })
    }

    fn decide_authentication(
        &mut self,
        handle: impl FnOnce(Authentication) -> Result<(Pending, Event<'static>), Error>,
    ) -> Result<Event<'static>, Error> {
        match self.take_state() {
            State::Established(established) => {
                let Service::Authentication(authentication) = established.service else {
                    return Err(Failure::Closed.into());
                };
                let (pending, event) = handle(authentication)?;
                let service = Service::Deciding(pending);
                self.state = State::Established(Established {
                    service,
                    ..established
                });
                Ok(event)
            }
            State::Identification(_) | State::FirstExchange(_) | State::Closed => {
                Err(Failure::Closed.into())
            }
        }
    }

    /// See [`Transport::send_banner`].
    pub(super) fn push_banner(&mut self, text: &[u8]) -> Result<(), Error> {
        let permitted = matches!(
            &self.state,
            State::Established(Established {
                rekey: Rekey::Idle,
                service: Service::Authentication(Authentication::Bound(_)) | Service::Deciding(_),
                ..
            })
        );
        match text.len() {
            _ if !permitted => Err(Failure::Busy.into()),
            0 => Ok(()),
            length if length > BANNER_LIMIT => Err(Failure::PayloadTooLong(length).into()),
            _ => {
                let mut banner = Vec::new();
                UserauthBanner {
                    message: text,
                    language: b"",
                }
                .encode(&mut banner);
                self.push(&banner)
            }
        }
    }

    /// See [`Transport::handle_auth_outcome`]. An answer that is not legal changes nothing.
    pub(super) fn answer_authentication(&mut self, outcome: AuthOutcome) -> Result<(), Error> {
        match &self.state {
            State::Established(Established {
                service: Service::Deciding(pending),
                ..
            }) => {
                if !pending.permits(&outcome) {
                    return Err(Failure::UnfitAnswer.into());
                }
            }
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => return Err(Failure::NoQuestion.into()),
        }
        let State::Established(mut established) = self.take_state() else {
            return Err(Failure::NoQuestion.into());
        };
        if mem::take(&mut established.second_ext_info) == SecondExtInfo::Wanted {
            self.push(&extensions::announcement_for_user(
                &self.user.pubkey_algorithms,
            ))?;
        }
        let Service::Deciding(pending) = established.service else {
            return Err(Failure::NoQuestion.into());
        };
        let (service, answer) = match pending.handle_outcome(outcome)? {
            Decided::Success => (Service::Connection, userauth::success()),
            Decided::Continue(authentication, answer) => {
                (Service::Authentication(authentication), answer)
            }
            Decided::GiveUp(why) => {
                self.push_disconnect(DisconnectReason::NoMoreAuthMethodsAvailable, why);
                return Ok(());
            }
        };
        self.push(&answer)?;
        // SSH_MSG_USERAUTH_SUCCESS itself is not compressed, all that follows is.
        if matches!(service, Service::Connection) {
            let negotiated = &established.negotiated;
            match negotiated.compression_client_to_server {
                CompressionAlgorithm::None => {}
                CompressionAlgorithm::ZlibDelayed => self.inbound.start_inflating(),
            }
            match negotiated.compression_server_to_client {
                CompressionAlgorithm::None => {}
                CompressionAlgorithm::ZlibDelayed => self.outbound.start_deflating(),
            }
        }
        self.state = State::Established(Established {
            service,
            ..established
        });
        self.rekey_if_used()
    }
}
