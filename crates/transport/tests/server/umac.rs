//! UMAC word for word as RFC 4418 writes it, and as slow, for the client.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};

const PRIME36: u128 = (1 << 36) - 5;
const PRIME64: u128 = (1 << 64) - 59;

/// UMAC (section 4.1) with a nonce of eight bytes and a tag of `taglen`.
pub(crate) fn tag(key: &[u8; 16], nonce: u64, message: &[u8], taglen: usize) -> Vec<u8> {
    let pad = pdf(key, nonce, taglen);
    let hash = uhash(key, message, taglen);
    hash.iter().zip(pad).map(|(hash, pad)| hash ^ pad).collect()
}

/// ENCIPHER (section 3.1)
fn encipher(key: &[u8], mut block: [u8; 16]) -> [u8; 16] {
    let key = EncryptingKey::ecb(UnboundCipherKey::new(&AES_128, key).unwrap()).unwrap();
    key.less_safe_encrypt(&mut block, EncryptionContext::None)
        .unwrap();
    block
}

/// KDF (section 3.2)
fn kdf(key: &[u8], index: u64, numbytes: usize) -> Vec<u8> {
    let mut y: Vec<u8> = (1..=numbytes.div_ceil(16) as u64)
        .flat_map(|i| {
            let t = [index.to_be_bytes(), i.to_be_bytes()].concat();
            encipher(key, t.try_into().unwrap())
        })
        .collect();
    y.truncate(numbytes);
    y
}

/// PDF (section 3.3)
fn pdf(key: &[u8], nonce: u64, taglen: usize) -> Vec<u8> {
    let blocks = 16 / taglen;
    let index = usize::try_from(nonce % blocks as u64).unwrap();
    let mut block = [0; 16];
    block[..8].copy_from_slice(&(nonce ^ index as u64).to_be_bytes());
    let t = encipher(&kdf(key, 0, 16), block);
    t[index * taglen..][..taglen].to_vec()
}

/// UHASH (section 5.1)
fn uhash(key: &[u8], message: &[u8], taglen: usize) -> Vec<u8> {
    let iters = taglen / 4;
    let l1_key = kdf(key, 1, 1024 + (iters - 1) * 16);
    let l2_key = kdf(key, 2, iters * 24);
    let l3_key1 = kdf(key, 3, iters * 64);
    let l3_key2 = kdf(key, 4, iters * 4);
    (0..iters)
        .flat_map(|i| {
            let a = l1_hash(&l1_key[i * 16..][..1024], message);
            let b = if message.len() <= 1024 {
                [vec![0; 8], a].concat()
            } else {
                l2_hash(&l2_key[i * 24..][..24], &a)
            };
            l3_hash(&l3_key1[i * 64..][..64], &l3_key2[i * 4..][..4], &b)
        })
        .collect()
}

/// L1-HASH (section 5.2)
fn l1_hash(key: &[u8], message: &[u8]) -> Vec<u8> {
    let chunks: Vec<&[u8]> = match message {
        [] => vec![message],
        _ => message.chunks(1024).collect(),
    };
    chunks
        .into_iter()
        .flat_map(|chunk| {
            let mut padded = chunk.to_vec();
            padded.resize(chunk.len().next_multiple_of(32).max(32), 0);
            let bits = chunk.len() as u64 * 8;
            nh(key, &padded).wrapping_add(bits).to_be_bytes()
        })
        .collect()
}

/// NH (section 5.2), and ENDIAN-SWAP with it.
fn nh(key: &[u8], message: &[u8]) -> u64 {
    let m = |i: usize| u32::from_le_bytes(message[i * 4..][..4].try_into().unwrap());
    let k = |i: usize| u32::from_be_bytes(key[i * 4..][..4].try_into().unwrap());
    let sum = |i: usize| u64::from(m(i).wrapping_add(k(i)));
    let mut y = 0_u64;
    for i in (0..message.len() / 4).step_by(8) {
        for j in 0..4 {
            y = y.wrapping_add(sum(i + j) * sum(i + j + 4));
        }
    }
    y
}

/// L2-HASH (section 5.3) of less than 2^17 bytes: POLY over 64 bits.
fn l2_hash(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(message.len() <= 1 << 17);
    let key = u64::from_be_bytes(key[..8].try_into().unwrap()) & 0x01ff_ffff_01ff_ffff;
    let mut y = 1;
    for word in message.chunks(8) {
        let m = u128::from(u64::from_be_bytes(word.try_into().unwrap()));
        if m >= (1 << 64) - (1 << 32) {
            y = (u128::from(key) * y + PRIME64 - 1) % PRIME64;
            y = (u128::from(key) * y + m - 59) % PRIME64;
        } else {
            y = (u128::from(key) * y + m) % PRIME64;
        }
    }
    y.to_be_bytes().to_vec()
}

/// L3-HASH (section 5.4)
fn l3_hash(key1: &[u8], key2: &[u8], message: &[u8]) -> Vec<u8> {
    let y = (0..8).fold(0, |y, i| {
        let m = u16::from_be_bytes(message[i * 2..][..2].try_into().unwrap());
        let k = u64::from_be_bytes(key1[i * 8..][..8].try_into().unwrap());
        y + u128::from(m) * (u128::from(k) % PRIME36)
    });
    let y = (y % PRIME36).to_be_bytes();
    y[12..].iter().zip(key2).map(|(y, k)| y ^ k).collect()
}
