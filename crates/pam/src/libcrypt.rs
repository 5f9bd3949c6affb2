//! crypt(3) of libxcrypt, which knows every scheme that shadow(5) may have, and getspnam_r(3), as safe functions.
#![expect(
    unsafe_code,
    reason = "libcrypt and libc are C libraries; this module is the border to them"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use zeroize::Zeroizing;

/// The hash of a password by a setting, which may be another hash (crypt(5)). `None` if the setting is none: `*`, `!` and
/// the like, or if the password is longer than libcrypt takes (511 bytes).
pub(crate) fn hash(password: &[u8], setting: &CStr) -> Option<Zeroizing<Vec<u8>>> {
    let mut terminated = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    terminated.extend_from_slice(password);
    terminated.push(0);
    let password = CStr::from_bytes_with_nul(&terminated).ok()?;
    // The password and what was made of it are in there, too.
    let mut data = Zeroizing::new(vec![0u64; DATA_SIZE / size_of::<u64>()]);
    let size = c_int::try_from(DATA_SIZE).ok()?;
    // JUSTIFICATION: schemes are libcrypt's to know.
    // SAFETY: two terminated strings, and room of this size, zeroed, as crypt_rn(3) wants it before its first use.
    let output = unsafe {
        crypt_rn(
            password.as_ptr(),
            setting.as_ptr(),
            data.as_mut_ptr().cast(),
            size,
        )
    };
    if output.is_null() {
        return None;
    }
    // JUSTIFICATION: the answer is a C string.
    // SAFETY: not null, so a terminated string in `data`, which is still there.
    let hash = unsafe { CStr::from_ptr(output) };
    Some(Zeroizing::new(hash.to_bytes().to_vec()))
}

/// A setting of the scheme that libcrypt holds for the best, at its usual cost.
pub(crate) fn best_setting() -> Option<CString> {
    let mut setting = [0 as c_char; SETTING_SIZE];
    let size = c_int::try_from(SETTING_SIZE).ok()?;
    // JUSTIFICATION: schemes are libcrypt's to know.
    // SAFETY: crypt_gensalt_rn(3): null for the best scheme, 0 for its cost, null for randomness of the system; and room
    // of this size.
    let output = unsafe { crypt_gensalt_rn(null(), 0, null(), 0, setting.as_mut_ptr(), size) };
    if output.is_null() {
        return None;
    }
    // JUSTIFICATION: the answer is a C string.
    // SAFETY: not null, so a terminated string in `setting`.
    Some(unsafe { CStr::from_ptr(output) }.to_owned())
}

/// What shadow(5), or whatever nsswitch.conf(5) has in its place, says about an account.
#[derive(Clone)]
pub(crate) struct Entry {
    /// A hash, or something that is none.
    pub(crate) password: Zeroizing<Vec<u8>>,
    /// Day of the last change; negative: not known.
    pub(crate) last_change: i64,
    /// After how many days it has to be changed; negative: never.
    pub(crate) maximum: i64,
    /// The last day of the account; negative: none.
    pub(crate) expiry: i64,
}

/// The entry of a user.
///
/// # Errors
/// The name service fails. That there is none is no error.
pub(crate) fn entry(user: &CStr) -> io::Result<Option<Entry>> {
    let mut room = Zeroizing::new(vec![0; ENTRY_ROOM]);
    let mut entry = MaybeUninit::<libc::spwd>::uninit();
    let mut found = null_mut();
    // JUSTIFICATION: an account may be of a directory server, which only the name service knows.
    // SAFETY: a terminated string, and places for the entry, its strings, of this size, and the answer.
    let error = unsafe {
        libc::getspnam_r(
            user.as_ptr(),
            entry.as_mut_ptr(),
            room.as_mut_ptr(),
            room.len(),
            &mut found,
        )
    };
    match error {
        0 | libc::ENOENT => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    // JUSTIFICATION: a C structure.
    // SAFETY: null, or `entry`, which is filled in then, and whose strings are in `room`.
    let Some(found) = (unsafe { found.as_ref() }) else {
        return Ok(None);
    };
    if found.sp_pwdp.is_null() {
        return Ok(None);
    }
    // JUSTIFICATION: a C string.
    // SAFETY: not null, so a terminated string in `room`.
    let password = unsafe { CStr::from_ptr(found.sp_pwdp) };
    Ok(Some(Entry {
        password: Zeroizing::new(password.to_bytes().to_vec()),
        last_change: found.sp_lstchg,
        maximum: found.sp_max,
        expiry: found.sp_expire,
    }))
}

/// Room for the strings of an entry, in bytes. A hash has less than 400.
const ENTRY_ROOM: usize = 16 * 1024;

// crypt.h; part of libxcrypt's binary interface, as is the size of its work area.
const DATA_SIZE: usize = 32_768;
const SETTING_SIZE: usize = 192;

unsafe extern "C" {
    fn crypt_rn(
        phrase: *const c_char,
        setting: *const c_char,
        data: *mut c_void,
        size: c_int,
    ) -> *const c_char;
    fn crypt_gensalt_rn(
        prefix: *const c_char,
        count: c_ulong,
        random: *const c_char,
        random_size: c_int,
        output: *mut c_char,
        output_size: c_int,
    ) -> *const c_char;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_other_programs() {
        // crypt(5)'s schemes as mkpasswd(1) and openssl-passwd(1) make them, of "Hello world!".
        for hash_of in [
            c"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            c"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            c"$y$j9T$saltstring1$0iWkE52SlJzwkBCdFIo3omUvZ0qE4yiiZ1LNCYMSOmB",
        ] {
            let hash = hash(b"Hello world!", hash_of).unwrap();
            assert_eq!(*hash, hash_of.to_bytes());
        }
    }

    #[test]
    fn what_is_no_setting_hashes_nothing() {
        for setting in [c"", c"*", c"!", c"!!", c"!$y$j9T$abc$def", c"*LK*", c"x"] {
            assert_eq!(hash(b"hunter2", setting), None, "{setting:?}");
        }
        assert_eq!(hash(&[b'a'; 600], c"$5$saltstring$"), None);
    }

    #[test]
    fn the_best_scheme_tells_passwords_apart() {
        let setting = best_setting().unwrap();
        let right = hash(b"hunter2", &setting).unwrap();
        let again = CString::new(&**right).unwrap();
        assert_eq!(hash(b"hunter2", &again).unwrap(), right);
        assert_ne!(hash(b"hunter3", &again).unwrap(), right);
    }

    #[test]
    fn a_user_without_entry_is_no_error() {
        assert!(entry(c"no-such-user-here").unwrap().is_none());
    }
}
