//! From the client's socket into the mux.

use rpc::preauth::Monitor;

use super::end::EngineEnd;
use super::mux::Mux;
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
            if let Some(values) = input.question {
                // Nothing is taken from the client until the answer is there; output goes on.
                let answer = match monitor.sign_exchange(values).await {
                    Ok(signature) => {
                        mux.with_transport(|transport| transport.handle_signature(signature))
                    }
                    Err(error) => return EngineEnd::Monitor(error.to_string()),
                };
                if let Err(error) = answer {
                    return EngineEnd::Protocol(error.to_string());
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
