//! Questions during keyboard-interactive (RFC 4256) and what is answered.

use crate::codec::DecodeError;
use crate::message::{PROMPT_LIMIT, TEXT_LIMIT, UserauthInfoRequest, UserauthInfoResponse};
use crate::secret::Secret;

/// Longest texts of one question altogether, in bytes: with the fields around them they stay below
/// the 32,768 bytes that RFC 4253 section 6.1 has every payload hold.
pub const INFO_TEXT_LIMIT: usize = 32_000;

/// A question to the user (RFC 4256 section 3.2), of a size that every client takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoRequest {
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What to ask.
    pub text: String,
    /// Whether what is typed is shown.
    pub echo: Echo,
}

/// Whether what is typed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It is not.
    Off,
    /// It is.
    On,
}

impl InfoRequest {
    /// A question with at most [`PROMPT_LIMIT`] prompts; `None` if there are more.
    ///
    /// Texts beyond [`TEXT_LIMIT`], or [`INFO_TEXT_LIMIT`] altogether, are cut, those of prompts last: modules show files and QR
    /// codes, which are worth less than the login.
    pub fn new(name: String, instruction: String, prompts: Vec<Prompt>) -> Option<Self> {
        let mut question = Self {
            name,
            instruction,
            prompts,
        };
        let texts = question.prompts.iter_mut().map(|prompt| &mut prompt.text);
        let mut left = INFO_TEXT_LIMIT;
        for text in texts.chain([&mut question.name, &mut question.instruction]) {
            text.truncate(text.floor_char_boundary(left.min(TEXT_LIMIT)));
            left = left.saturating_sub(text.len());
        }
        (question.prompts.len() <= PROMPT_LIMIT).then_some(question)
    }

    /// "name", a title.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// "instruction"
    pub fn instruction(&self) -> &str {
        &self.instruction
    }

    /// The prompts, each of which wants a response. There may be none.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// Appends the payload of SSH_MSG_USERAUTH_INFO_REQUEST.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let prompts = self.prompts.iter().map(|prompt| {
            let echo = match prompt.echo {
                Echo::Off => 0,
                Echo::On => 1,
            };
            (prompt.text.as_str(), echo)
        });
        UserauthInfoRequest {
            name: &self.name,
            instruction: &self.instruction,
            language: "",
            prompts: prompts.collect(),
        }
        .encode(out);
    }
}

/// What was answered to an [`InfoRequest`] (RFC 4256 section 3.4). Whether there are as many as
/// prompts is for the one who asked to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responses {
    /// In the order of the prompts, at most [`PROMPT_LIMIT`].
    Given(Vec<Secret>),
    /// One of them can be no response ([`Secret::new`]): a failed attempt and no error.
    Impossible,
}

impl Responses {
    /// Reads a payload of SSH_MSG_USERAUTH_INFO_RESPONSE.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let message = UserauthInfoResponse::decode(payload)?;
        let secrets = message.responses.iter().map(|bytes| Secret::copy(bytes));
        Ok(match secrets.collect() {
            Some(secrets) => Self::Given(secrets),
            None => Self::Impossible,
        })
    }

    /// Appends the payload; what is impossible, as the shortest of its kind.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let responses = match self {
            Self::Given(secrets) => secrets.iter().map(Secret::expose).collect(),
            Self::Impossible => vec![b"\0".as_slice()],
        };
        UserauthInfoResponse { responses }.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prompt(text: String) -> Prompt {
        Prompt {
            text,
            echo: Echo::On,
        }
    }

    proptest! {
        #[test]
        fn a_question_fits_into_a_packet_whatever_modules_say(
            texts in proptest::collection::vec("[aä]{0,30}", 0..=PROMPT_LIMIT),
            repeat in 1..2000usize,
            instruction in "[ä]{0,20000}",
        ) {
            let prompts = texts.iter().map(|text| prompt(text.repeat(repeat))).collect();
            let question = InfoRequest::new("name".to_owned(), instruction, prompts).unwrap();
            let mut payload = Vec::new();
            question.encode(&mut payload);
            prop_assert!(payload.len() <= 32_768);
            let message = UserauthInfoRequest::decode(&payload).unwrap();
            prop_assert_eq!(message.prompts.len(), texts.len());
        }

        #[test]
        fn responses_decode_to_what_was_encoded(texts in proptest::collection::vec("[a-zä]{0,20}", 0..=PROMPT_LIMIT)) {
            let secrets = texts.iter().filter_map(|text| Secret::copy(text.as_bytes()));
            let responses = Responses::Given(secrets.collect());
            let mut payload = Vec::new();
            responses.encode(&mut payload);
            prop_assert_eq!(Responses::decode(&payload), Ok(responses));
            for length in 0..payload.len() {
                prop_assert!(Responses::decode(&payload[..length]).is_err());
            }
        }
    }

    #[test]
    fn a_prompt_is_kept_where_an_instruction_is_cut() {
        let long = "x".repeat(INFO_TEXT_LIMIT);
        let prompts = vec![prompt("Code: ".to_owned())];
        let question = InfoRequest::new(long.clone(), long, prompts).unwrap();
        assert_eq!(question.prompts(), [prompt("Code: ".to_owned())]);
        assert_eq!(question.name().len(), TEXT_LIMIT);
        assert_eq!(
            question.instruction().len(),
            INFO_TEXT_LIMIT - TEXT_LIMIT - 6
        );
        let many = vec![prompt(String::new()); PROMPT_LIMIT + 1];
        assert_eq!(InfoRequest::new(String::new(), String::new(), many), None);
    }

    #[test]
    fn a_response_that_no_module_would_see_whole_is_not_an_error() {
        for response in [b"a\0b".as_slice(), &[b'a'; 2000]] {
            let mut payload = Vec::new();
            let responses = vec![b"code".as_slice(), response];
            UserauthInfoResponse { responses }.encode(&mut payload);
            assert_eq!(Responses::decode(&payload), Ok(Responses::Impossible));
        }
        let mut payload = Vec::new();
        Responses::Impossible.encode(&mut payload);
        assert_eq!(Responses::decode(&payload), Ok(Responses::Impossible));
    }
}
