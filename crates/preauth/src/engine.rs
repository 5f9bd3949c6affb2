//! After login: the connection protocol (RFC 4254).
//!
//! ```text
//!             ┌──────────────── mux (one state, one thread) ────────────────┐
//!  TCP ─ reader ─▶ transport ─┬─ CHANNEL_DATA ─▶ queue ─▶ feeder ─▶ pipe, pty, socket
//!                             ├─ WINDOW_ADJUST ▶ window
//!                             ├─ forwarded channels ─▶ forward ─────▶ session
//!                             └─ the rest ─▶ link ─▶ russh ─▶ requests ─▶ session
//!  TCP ◀ writer ── transport ◀┬─ CHANNEL_DATA ◀──────── pump ◀── pipe, pty, socket
//!                             └─ the rest ◀─ link ◀─ russh
//! ```
//!
//! russh is the engine of sessions: it opens and closes their channels, decodes and answers
//! requests. Forwarded channels are ours (`channels`, `forward`). Channel data and windows do not
//! pass russh. That keeps back-pressure per channel (russh credits the window when data arrives,
//! not when the program took it, and one full channel stops its loop), and it saves four copies:
//! data is read from a pipe into the place where it is sealed, and written to a pipe from the place
//! where it was opened.

mod budget;
mod channel;
mod channels;
mod closes;
mod deliveries;
mod end;
mod feeder;
mod forward;
mod link_stream;
mod marks;
mod mux;
mod pace;
mod program;
mod pump;
mod queue;
mod reader;
mod remarks;
mod replies;
mod requests;
mod timers;
mod writer;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::lane::Lane;
use rpc::preauth::Monitor;
use rpc::session::Session;
use russh::keys::ssh_key;
use tokio::task::JoinSet;

pub use end::EngineEnd;

use crate::client::ClientSocket;
use crate::handshake::LoggedIn;
use deliveries::Deliveries;
use forward::Forwarding;
use link_stream::LinkStream;
use mux::Mux;
use requests::Requests;
use timers::Timers;

/// The largest window that a channel starts with, in bytes: what OpenSSH gives.
const RECEIVE_WINDOW: u32 = 2 * 1024 * 1024;

/// Largest channel data packet that we take, in bytes: what OpenSSH gives.
const RECEIVE_PACKET: u32 = 32 * 1024;

/// How long the last bytes may take to a client that does not read.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// Time of years: russh must never start a key exchange of its own.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Serves a logged-in connection until it ends.
pub async fn run(client: ClientSocket, login: LoggedIn, monitor: Monitor) -> EngineEnd {
    let LoggedIn {
        host_keys,
        transport,
        input,
        grant,
        session,
        lane,
    } = login;
    let (session, lane) = match session_border(session, lane).await {
        Ok(border) => border,
        Err(end) => return end,
    };
    let session_gone = session.gone();
    let mux = Mux::new(transport, host_keys, Timers::new(Instant::now(), &grant));
    for remark in &grant.remarks {
        mux.remark(remark);
    }
    let config = Arc::new(engine_config());
    let deliveries = Deliveries::default();
    let forwarding = Forwarding::new(Arc::clone(&mux), session.clone(), deliveries.clone());
    let requests = Requests::new(
        Arc::clone(&mux),
        session,
        deliveries.clone(),
        forwarding.clone(),
        grant.max_sessions,
    );

    let client = Arc::new(client);
    let russh = {
        let mux = Arc::clone(&mux);
        async move {
            let running = russh::server::run_stream(config, LinkStream::new(mux), requests).await;
            match running {
                Ok(session) => match session.await {
                    Ok(()) => EngineEnd::Closed,
                    Err(error) => EngineEnd::Engine(error.to_string()),
                },
                Err(error) => EngineEnd::Engine(error.to_string()),
            }
        }
    };
    // A task for each: what wakes one of them does not run through all.
    let mut parts = JoinSet::new();
    let both = || (Arc::clone(&mux), Arc::clone(&client));
    let (at_reader, at_writer) = (both(), both());
    parts.spawn(async move {
        let (mux, client) = at_reader;
        reader::run(&mux, &client, input, monitor, forwarding).await
    });
    parts.spawn(async move {
        let (mux, client) = at_writer;
        writer::run(&mux, &client).await
    });
    parts.spawn(russh);
    parts.spawn(async move { deliveries.run(&lane).await });
    // Without its session a connection is of no use, even if it has no channel now.
    parts.spawn(async move {
        session_gone.await;
        EngineEnd::Session("has ended".to_owned())
    });
    let (at_clocks, at_end, at_marks) = (Arc::clone(&mux), Arc::clone(&mux), both());
    parts.spawn(async move { timers::run(&at_clocks).await });
    parts.spawn(async move { at_end.ended().await });
    parts.spawn(async move {
        let (mux, client) = at_marks;
        match mux.terminals.mark(grant.packet_marks, &client).await {}
    });
    let end = match parts.join_next().await {
        Some(Ok(end)) => end,
        // It has panicked, in a build in which that is not the end of the process.
        Some(Err(error)) => EngineEnd::Engine(error.to_string()),
        None => EngineEnd::Closed,
    };
    parts.shutdown().await;
    mux.finish(&end);
    if end != EngineEnd::Unresponsive {
        // A client that does not read its last bytes loses them.
        drop(tokio::time::timeout(FLUSH_DEADLINE, writer::drain(&mux, &client)).await);
    }
    client.finish();
    end
}

async fn session_border(
    stream: std::os::fd::OwnedFd,
    lane: std::os::fd::OwnedFd,
) -> Result<(Session, Lane), EngineEnd> {
    let failed = |error: &dyn std::fmt::Display| EngineEnd::Session(error.to_string());
    let stream = rpc::grpc::stream(stream).map_err(|error| failed(&error))?;
    let session = Session::start(stream)
        .await
        .map_err(|error| failed(&error))?;
    let lane = Lane::new(lane).map_err(|error| failed(&error))?;
    Ok((session, lane))
}

/// russh behind the link: everything "none", no limits of its own where the transport has them.
fn engine_config() -> russh::server::Config {
    // russh wants a host key to negotiate; with key exchange "none" it signs nothing.
    let key = ssh_key::private::Ed25519Keypair::from_seed(&[0; 32]);
    russh::server::Config {
        server_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-engine")),
        methods: russh::MethodSet::from(&[russh::MethodKind::None][..]),
        keys: vec![key.into()],
        auth_rejection_time: Duration::ZERO,
        window_size: RECEIVE_WINDOW,
        maximum_packet_size: RECEIVE_PACKET,
        limits: russh::Limits {
            rekey_write_limit: usize::MAX,
            rekey_read_limit: usize::MAX,
            rekey_time_limit: NEVER,
        },
        preferred: russh::Preferred {
            kex: Cow::Borrowed(&[russh::kex::NONE]),
            key: Cow::Borrowed(&[ssh_key::Algorithm::Ed25519]),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(&[russh::cipher::NONE]),
            mac: Cow::Borrowed(&[russh::mac::NONE]),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
        },
        inactivity_timeout: None,
        // It sees no data; see `timers`.
        keepalive_interval: None,
        ..russh::server::Config::default()
    }
}
