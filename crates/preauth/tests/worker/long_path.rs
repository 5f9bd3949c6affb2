//! A path between client and server on which bytes take their time, and that holds as many as come.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A path to a port of this machine, for one connection.
pub(crate) struct LongPath {
    pub(crate) port: u16,
    /// The most bytes that were on their way to the server at once.
    most: Arc<AtomicUsize>,
}

impl LongPath {
    /// One that bytes need so long for in each direction.
    pub(crate) fn new(to: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || carry(back.0, back.1, delay, &AtomicUsize::new(0)));
            carry(client, server, delay, &seen);
        });
        Self { port, most }
    }

    pub(crate) fn most_on_the_way(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration, most: &AtomicUsize) {
    let (sender, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    let on_the_way = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&on_the_way);
    let delivery = thread::spawn(move || {
        for (due, bytes) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            left.fetch_sub(bytes.len(), Ordering::Relaxed);
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
    let mut buffer = vec![0; 1 << 18];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let now_there = on_the_way.fetch_add(count, Ordering::Relaxed) + count;
        most.fetch_max(now_there, Ordering::Relaxed);
        if sender
            .send((Instant::now() + delay, buffer[..count].to_vec()))
            .is_err()
        {
            break;
        }
    }
    drop(sender);
    delivery.join().unwrap();
}
