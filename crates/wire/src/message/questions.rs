//! Questions during user authentication: keyboard-interactive (RFC 4256) and the change of an expired password
//! (RFC 4252 section 8).

use std::fmt;

use super::{TEXT_LIMIT, body, number};
use crate::codec::{DecodeError, Write};

/// Most prompts of one request and most responses of one answer: what PAM asks at once (PAM_MAX_NUM_MSG of
/// pam_conv(3)).
pub const PROMPT_LIMIT: usize = 32;

/// SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 section 3.2)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserauthInfoRequest<'a> {
    /// "name", a title.
    pub name: &'a str,
    /// "instruction"
    pub instruction: &'a str,
    /// "language tag", deprecated.
    pub language: &'a str,
    /// "prompt" and "echo", at most [`PROMPT_LIMIT`].
    pub prompts: Vec<(&'a str, u8)>,
}

impl<'a> UserauthInfoRequest<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_INFO_REQUEST;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let name = reader.text(TEXT_LIMIT)?;
        let instruction = reader.text(TEXT_LIMIT)?;
        let language = reader.text(TEXT_LIMIT)?;
        let count = at_most_prompt_limit(reader.uint32()?)?;
        let prompts = (0..count)
            .map(|_| Ok((reader.text(TEXT_LIMIT)?, reader.byte()?)))
            .collect::<Result<_, DecodeError>>()?;
        reader.finish()?;
        Ok(Self {
            name,
            instruction,
            language,
            prompts,
        })
    }

    /// Appends the payload. Prompts beyond [`PROMPT_LIMIT`] are not written: no client would answer them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.name.as_bytes());
        out.put_string(self.instruction.as_bytes());
        out.put_string(self.language.as_bytes());
        let prompts = || self.prompts.iter().take(PROMPT_LIMIT);
        out.put_uint32(prompts().map(|_| 1).sum());
        for (text, echo) in prompts() {
            out.put_string(text.as_bytes());
            out.put_byte(*echo);
        }
    }
}

/// SSH_MSG_USERAUTH_INFO_RESPONSE (RFC 4256 section 3.4). The payload is as secret as the responses are.
#[derive(Clone, PartialEq, Eq)]
pub struct UserauthInfoResponse<'a> {
    /// "response", at most [`PROMPT_LIMIT`].
    pub responses: Vec<&'a [u8]>,
}

impl fmt::Debug for UserauthInfoResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserauthInfoResponse({})", self.responses.len())
    }
}

impl<'a> UserauthInfoResponse<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_INFO_RESPONSE;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let count = at_most_prompt_limit(reader.uint32()?)?;
        let responses = (0..count)
            .map(|_| reader.string(TEXT_LIMIT))
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { responses })
    }

    /// Appends the payload; responses beyond [`PROMPT_LIMIT`] are not written.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        let responses = || self.responses.iter().take(PROMPT_LIMIT);
        out.put_uint32(responses().map(|_| 1).sum());
        for response in responses() {
            out.put_string(response);
        }
    }
}

/// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserauthPasswdChangereq<'a> {
    /// "prompt"
    pub prompt: &'a str,
    /// "language tag"
    pub language: &'a str,
}

impl<'a> UserauthPasswdChangereq<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_PASSWD_CHANGEREQ;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            prompt: reader.text(TEXT_LIMIT)?,
            language: reader.text(TEXT_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.prompt.as_bytes());
        out.put_string(self.language.as_bytes());
    }
}

fn at_most_prompt_limit(count: u32) -> Result<usize, DecodeError> {
    let count = usize::try_from(count).map_err(|_| DecodeError::OutOfRange)?;
    match count {
        0..=PROMPT_LIMIT => Ok(count),
        _ => Err(DecodeError::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes with the type of this name and encodes again.
    fn reencode(kind: u8, payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        match kind {
            0 => UserauthInfoRequest::decode(payload)?.encode(&mut out),
            1 => UserauthInfoResponse::decode(payload)?.encode(&mut out),
            _ => UserauthPasswdChangereq::decode(payload)?.encode(&mut out),
        }
        Ok(out)
    }

    fn messages(texts: &[String], blob: &[u8]) -> [(u8, Vec<u8>); 3] {
        let mut out = [const { Vec::new() }; 3];
        let text = texts.first().map_or("", String::as_str);
        UserauthInfoRequest {
            name: text,
            instruction: "instruction",
            language: "",
            prompts: texts.iter().map(|text| (text.as_str(), 1)).collect(),
        }
        .encode(&mut out[0]);
        UserauthInfoResponse {
            responses: texts.iter().map(|_| blob).collect(),
        }
        .encode(&mut out[1]);
        UserauthPasswdChangereq {
            prompt: text,
            language: "en",
        }
        .encode(&mut out[2]);
        let [request, response, change] = out;
        [(0, request), (1, response), (2, change)]
    }

    proptest! {
        #[test]
        fn messages_survive_a_round_trip_and_no_truncation(
            texts in proptest::collection::vec("[a-zäö: ]{0,20}", 0..4),
            blob in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            for (kind, payload) in messages(&texts, &blob) {
                prop_assert_eq!(reencode(kind, &payload), Ok(payload.clone()));
                for length in 0..payload.len() {
                    prop_assert!(reencode(kind, &payload[..length]).is_err());
                }
                let mut longer = payload;
                longer.push(0);
                prop_assert_eq!(reencode(kind, &longer), Err(DecodeError::Trailing(1)));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_encode_to_themselves(
            kind in 0..3u8,
            rest in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let payload = [&[if kind == 1 { 61 } else { 60 }], rest.as_slice()].concat();
            if let Ok(again) = reencode(kind, &payload) {
                prop_assert_eq!(again, payload);
            }
        }
    }

    #[test]
    fn an_example_of_rfc_4256_is_read() {
        // Section 4.
        let mut payload = vec![60];
        payload.put_string(b"CRYPTOCard Authentication");
        payload.put_string(b"The challenge is '14315716'");
        payload.put_string(b"en-US");
        payload.put_uint32(1);
        payload.put_string(b"Response: ");
        payload.put_boolean(true);
        let request = UserauthInfoRequest::decode(&payload).unwrap();
        assert_eq!(request.prompts, [("Response: ", 1)]);
        assert_eq!(request.language, "en-US");
    }

    #[test]
    fn more_responses_than_there_can_be_prompts_are_refused_before_they_are_read() {
        let mut payload = vec![61];
        payload.put_uint32(33);
        assert_eq!(
            UserauthInfoResponse::decode(&payload),
            Err(DecodeError::OutOfRange)
        );
    }

    #[test]
    fn responses_are_not_shown() {
        let response = UserauthInfoResponse {
            responses: vec![b"hunter2"],
        };
        assert_eq!(format!("{response:?}"), "UserauthInfoResponse(1)");
    }
}
