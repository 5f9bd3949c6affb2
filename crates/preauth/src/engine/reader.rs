//! From the client's socket into the mux.

use rpc::CallError;
use rpc::preauth::Monitor;

use super::end::EngineEnd;
use super::forward::Forwarding;
use super::mux::{Mux, Question};
use crate::client::ClientSocket;

/// Bytes that one read may bring: many packets per system call, and room for the largest packet
/// that the transport takes (256 KiB and its frame).
const BUFFER: usize = 512 * 1024;

/// Runs until the connection ends. `input` is what the handshake read and did not parse.
pub(super) async fn run(
    mux: &Mux,
    client: &ClientSocket,
    input: Vec<u8>,
    mut monitor: Monitor,
    forwarding: Forwarding,
) -> EngineEnd {
    let mut buffer = vec![0; BUFFER];
    let mut filled = input.len().min(BUFFER);
    if let (Some(target), Some(source)) = (buffer.get_mut(..filled), input.get(..filled)) {
        target.copy_from_slice(source);
    }
    loop {
        let mut start = 0;
        loop {
            Mux::wait(&mux.input, || mux.input_allowed()).await;
            let waiting = buffer.get_mut(start..filled).unwrap_or_default();
            let input = match mux.handle_input(waiting) {
                Ok(input) => input,
                Err(end) => return end,
            };
            start += input.consumed;
            if let Some(question) = input.question {
                // Nothing is taken from the client until the monitor's answer is there; output goes on.
                if let Err(end) = ask(mux, &mut monitor, &forwarding, question).await {
                    return end;
                }
            } else if input.consumed == 0 {
                break;
            }
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        let space = buffer.get_mut(filled..).unwrap_or_default();
        match client.read(space).await {
            Ok(0) => return EngineEnd::Closed,
            Ok(count) => filled += count,
            Err(error) => return EngineEnd::Socket(error.to_string()),
        }
    }
}

async fn ask(
    mux: &Mux,
    monitor: &mut Monitor,
    forwarding: &Forwarding,
    question: Question,
) -> Result<(), EngineEnd> {
    let gone = |error: CallError| EngineEnd::Monitor(error.to_string());
    match question {
        Question::ChooseGroup(request) => {
            let group = monitor.choose_group(request).await.map_err(gone)?;
            mux.with_transport(|transport| transport.handle_group(group))
                .map_err(|error| EngineEnd::Protocol(error.to_string()))
        }
        Question::SignExchange(values) => {
            let signature = monitor.sign_exchange(values).await.map_err(gone)?;
            mux.with_transport(|transport| transport.handle_signature(signature))
                .map_err(|error| EngineEnd::Protocol(error.to_string()))
        }
        Question::ProveHostKeys(host_keys) => {
            let proofs = monitor.prove_host_keys(host_keys).await.map_err(gone)?;
            mux.answer_proofs(&proofs);
            Ok(())
        }
        Question::Task(task) => {
            forwarding.start(task);
            Ok(())
        }
        Question::Listen(listen, address, reply) => forwarding
            .answer(listen, address, reply)
            .await
            .map_err(|error| EngineEnd::Session(error.to_string())),
    }
}
