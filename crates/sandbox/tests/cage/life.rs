//! What a worker and a monitor do all their lives, done once inside of the cage: no part of it may be refused.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut, Write, stderr};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{hmac, rand};
use nix::unistd::User;
use rustix::fs::FileType;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt,
};
use rustix::process::{Gid, Uid, geteuid};
use sandbox::Sandboxed;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Descriptors as a worker gets them, opened while that is still possible.
pub(crate) struct Prepared {
    grpc: [UnixStream; 2],
    client: TcpStream,
    accepted: TcpStream,
    journal: [UnixDatagram; 2],
    lane: OwnedFd,
    _monitor: OwnedFd,
}

impl Prepared {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (accepted, _) = listener.accept()?;
        let (monitor, lane) = lane_with_descriptors()?;
        Ok(Self {
            grpc: UnixStream::pair()?.into(),
            client,
            accepted,
            journal: UnixDatagram::pair()?.into(),
            lane,
            _monitor: monitor,
        })
    }

    /// Lives.
    pub(crate) fn live_as_worker(self, _token: Sandboxed) -> anyhow::Result<()> {
        receive_descriptor(&self.lane).context("lane")?;
        rustix::net::send(&self.lane, b"answer", SendFlags::NOSIGNAL).context("lane answer")?;
        self.journal[0]
            .send(b"MESSAGE=inside\n")
            .context("journal")?;
        cryptography().context("cryptography")?;
        memory().context("memory")?;
        // Finds no cgroup limits and no affinity, and must take that for an answer.
        drop(std::thread::available_parallelism());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        runtime.block_on(traffic(self.grpc, self.client, self.accepted))
    }
}

/// What a monitor does: accounts, key files (as their owner where there is the right to it), threads, descriptors.
pub(crate) fn live_as_monitor(_token: Sandboxed) -> anyhow::Result<()> {
    ensure!(
        User::from_name("root")?.context("root")?.uid.is_root(),
        "a known account"
    );
    ensure!(
        User::from_name("nobody-of-that-name")?.is_none(),
        "an unknown account"
    );
    ensure!(std::fs::read_dir("/etc")?.count() > 1, "a directory");
    lane_with_descriptors().context("lane")?;
    cryptography().context("cryptography")?;
    let owner = std::thread::spawn(|| {
        if geteuid().is_root() {
            let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        }
        std::fs::read("/etc/passwd")
    });
    ensure!(
        owner.join().is_ok_and(|read| read.is_ok()),
        "a file, read as its owner"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let (mut near, mut far) = tokio::net::UnixStream::pair()?;
        near.write_all(b"x").await?;
        ensure!(far.read_u8().await? == b'x', "a stream");
        tokio::task::spawn_blocking(std::thread::available_parallelism).await??;
        Ok(())
    })
}

/// Tells the tester what went wrong, over the inherited standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    drop(writeln!(stderr(), "{error:#}"));
}

/// Makes this process one for which the kernel does not have the system call `number`.
pub(crate) fn without(number: i64) -> anyhow::Result<()> {
    let rules = [(number, Vec::new())].into_iter().collect();
    let answer = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        answer,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}

async fn traffic(
    grpc: [UnixStream; 2],
    client: TcpStream,
    accepted: TcpStream,
) -> anyhow::Result<()> {
    let [near, far] = grpc;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let (mut near, mut far) = (
        tokio::net::UnixStream::from_std(near)?,
        tokio::net::UnixStream::from_std(far)?,
    );
    let task = tokio::spawn(async move {
        let frames = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        ensure!(near.write_vectored(&frames).await? == 8, "both frames");
        near.shutdown().await?;
        Ok(near.peer_cred()?)
    });
    let mut read = Vec::new();
    far.read_to_end(&mut read).await?;
    ensure!(read == b"headbody", "gRPC stream");
    task.await??;

    client.set_nonblocking(true)?;
    accepted.set_nonblocking(true)?;
    let (mut client, mut server) = (
        tokio::net::TcpStream::from_std(client)?,
        tokio::net::TcpStream::from_std(accepted)?,
    );
    server.set_nodelay(true)?;
    sockopt::set_tcp_quickack(&server, true)?;
    ensure!(server.peer_addr()? == client.local_addr()?, "addresses");
    let (mut reader, mut writer) = server.split();
    let text = vec![7; 1 << 20];
    let (sent, received) = tokio::join!(writer.write_all(&text), async {
        let mut back = vec![0; 1 << 20];
        client.read_exact(&mut back).await.map(|_| back)
    });
    sent?;
    ensure!(received? == text, "a mebibyte over TCP");
    let waited = tokio::time::timeout(Duration::from_millis(20), reader.read_u8()).await;
    ensure!(waited.is_err(), "a deadline");
    Ok(())
}

fn cryptography() -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let mine = EphemeralPrivateKey::generate(&X25519, &random)?;
    let theirs = EphemeralPrivateKey::generate(&X25519, &random)?.compute_public_key()?;
    agree_ephemeral(
        mine,
        UnparsedPublicKey::new(&X25519, theirs),
        (),
        |_| Ok(()),
    )
    .ok()
    .context("X25519")?;
    let decapsulation = DecapsulationKey::generate(&ML_KEM_768)?;
    let public = decapsulation.encapsulation_key()?.key_bytes()?;
    let (ciphertext, secret) =
        EncapsulationKey::new(&ML_KEM_768, public.as_ref())?.encapsulate()?;
    ensure!(
        decapsulation.decapsulate(ciphertext)?.as_ref() == secret.as_ref(),
        "ML-KEM"
    );
    let mut key = [0; 32];
    rand::fill(&mut key)?;
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?);
    let mut packet = vec![0; 32768];
    aead.seal_in_place_append_tag(
        Nonce::assume_unique_for_key([0; 12]),
        Aad::empty(),
        &mut packet,
    )?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    ensure!(
        hmac::verify(&key, &packet, hmac::sign(&key, &packet).as_ref()).is_ok(),
        "HMAC"
    );
    Ok(())
}

fn memory() -> anyhow::Result<()> {
    let mut table: HashMap<u32, Vec<u8>> = HashMap::new();
    for key in 0..1000 {
        table.entry(key).or_default().resize(4096, 1);
    }
    let mut large = vec![1_u8; 64 << 20];
    large.extend(std::iter::repeat_n(2, 64 << 20));
    ensure!(large.last() == Some(&2) && table.len() == 1000, "memory");
    Ok(())
}

fn lane_with_descriptors() -> anyhow::Result<(OwnedFd, OwnedFd)> {
    let (monitor, worker) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let (pipe, _) = std::io::pipe()?;
    let descriptors = [pipe.as_fd(), monitor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(
        &monitor,
        &[IoSlice::new(b"L")],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok((monitor, worker))
}

fn receive_descriptor(lane: &OwnedFd) -> anyhow::Result<()> {
    let mut bytes = [0; 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(lane, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    let [pipe, lane] = descriptors.as_slice() else {
        bail!("two descriptors");
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(pipe)?.st_mode);
    ensure!(kind == FileType::Fifo, "a pipe");
    ensure!(
        sockopt::socket_type(lane)? == SocketType::SEQPACKET,
        "a lane"
    );
    Ok(())
}
