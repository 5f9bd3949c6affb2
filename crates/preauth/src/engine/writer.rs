//! From the mux to the client's socket, and the timer of the keys.

use std::time::Instant;

use super::end::EngineEnd;
use super::mux::Mux;
use crate::client::ClientSocket;

/// Runs until the socket fails.
pub(super) async fn run(mux: &Mux, client: &ClientSocket) -> EngineEnd {
    loop {
        let timeout = mux.with_transport(|transport| transport.poll_timeout());
        let pending = Mux::wait(&mux.output, || {
            mux.with_transport(|transport| transport.output_pending() > 0)
                .then_some(())
        });
        let rekey = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pending => {}
            () = rekey => {
                let rekeyed = mux.with_transport(|transport| transport.handle_timeout(Instant::now()));
                if let Err(error) = rekeyed {
                    return EngineEnd::Protocol(error.to_string());
                }
                continue;
            }
        }
        if let Err(error) = write_some(mux, client).await {
            return EngineEnd::Socket(error.to_string());
        }
    }
}

/// Writes what is left.
pub(super) async fn drain(mux: &Mux, client: &ClientSocket) -> std::io::Result<()> {
    while mux.with_transport(|transport| transport.output_pending() > 0) {
        write_some(mux, client).await?;
    }
    Ok(())
}

async fn write_some(mux: &Mux, client: &ClientSocket) -> std::io::Result<()> {
    client.writable().await?;
    mux.with_transport(|transport| {
        let written = client.try_write(transport.poll_output())?;
        transport.output_sent(written);
        Ok(())
    })
}
