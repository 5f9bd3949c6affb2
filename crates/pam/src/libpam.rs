//! libpam's application side as safe types: ten functions of its C interface (pam(3)), and nothing else of it.
//!
//! Written by hand rather than taken from a crate. `nonstick` is young and has no stack directory for tests;
//! `pam-client2` is a fork in maintenance of an abandoned crate, under the MPL; `pam-sys` is a stale alpha. What is
//! needed of the interface has been the same since Linux-PAM 1.0 and fits on a page, which can be reviewed.
#![expect(
    unsafe_code,
    reason = "libpam is a C library; this module is the border to it"
)]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use rpc::pam::{MESSAGE_LIMIT, Message, Secret, Style, TEXT_LIMIT, Variable};

/// Where the stacks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stacks {
    /// `/etc/pam.d` and its kin.
    System,
    /// This directory alone, as pam_start_confdir(3) has it: for tests.
    Directory(PathBuf),
}

/// Who takes part in a transaction besides the modules.
pub(crate) trait Converse {
    /// Answers each prompt among the messages, in their order. `None` fails the module's call.
    fn converse(&self, messages: Vec<Message>) -> Option<Vec<Secret>>;

    /// A phase failed, and libpam would have this process wait before it says so.
    fn delay(&self, delay: Duration);
}

/// A `PAM_*` return value other than `PAM_SUCCESS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(c_int);

/// Numbers of `security/_pam_types.h`.
impl Code {
    pub(crate) const OPEN_ERR: Self = Self(1);
    pub(crate) const SYMBOL_ERR: Self = Self(2);
    pub(crate) const SERVICE_ERR: Self = Self(3);
    pub(crate) const SYSTEM_ERR: Self = Self(4);
    pub(crate) const BUF_ERR: Self = Self(5);
    pub(crate) const MAXTRIES: Self = Self(11);
    pub(crate) const NEW_AUTHTOK_REQD: Self = Self(12);
    pub(crate) const ABORT: Self = Self(26);
    pub(crate) const MODULE_UNKNOWN: Self = Self(28);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JUSTIFICATION: the words for a code are libpam's.
        // SAFETY: Linux-PAM does not use the handle (pam_strerror(3) takes it for other systems' sake).
        let text = unsafe { pam_strerror(null_mut(), self.0) };
        // SAFETY: the answer is null or one of libpam's constant strings.
        f.write_str(&unsafe { text_of(text) })
    }
}

/// An item of the transaction, by its number in `security/_pam_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `PAM_TTY`
    Terminal = 3,
    /// `PAM_RHOST`
    RemoteHost = 4,
    /// `PAM_RUSER`
    RemoteUser = 8,
}

/// Whether an account without a password may be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullPasswords {
    /// `PAM_DISALLOW_NULL_AUTHTOK`
    Disallowed,
    /// Without it.
    Allowed,
}

/// A transaction; ended when dropped.
#[derive(Debug)]
pub(crate) struct Transaction<'c, C> {
    handle: NonNull<RawTransaction>,
    /// What the last phase returned: pam_end(3) tells it to the modules.
    status: c_int,
    /// libpam keeps a pointer to it, and calls back while one of our methods is called.
    _conversation: PhantomData<&'c C>,
}

impl<'c, C: Converse> Transaction<'c, C> {
    /// Begins a transaction.
    pub(crate) fn start(
        service: &str,
        user: &str,
        conversation: &'c C,
        stacks: &Stacks,
    ) -> Result<Self, Code> {
        let (service, user) = (c_string(service.as_ref())?, c_string(user.as_ref())?);
        let data: *const C = conversation;
        let conversation = RawConversation {
            converse: converse::<C>,
            data: data.cast_mut().cast(),
        };
        let mut handle = null_mut();
        let code = match stacks {
            // JUSTIFICATION: there is no other way into libpam.
            // SAFETY: the strings outlive the call, libpam copies them and the structure (pam_start(3)). Its data is a
            // `C` that lives for 'c, which this transaction does not outlive; it is only ever used shared.
            Stacks::System => unsafe {
                pam_start(service.as_ptr(), user.as_ptr(), &conversation, &mut handle)
            },
            Stacks::Directory(directory) => {
                let directory = c_string(directory.as_os_str())?;
                // JUSTIFICATION: as above.
                // SAFETY: as above, and the directory's name is copied as well.
                unsafe {
                    pam_start_confdir(
                        service.as_ptr(),
                        user.as_ptr(),
                        &conversation,
                        directory.as_ptr(),
                        &mut handle,
                    )
                }
            }
        };
        check(code)?;
        let transaction = Self {
            handle: NonNull::new(handle).ok_or(Code::SYSTEM_ERR)?,
            status: PAM_SUCCESS,
            _conversation: PhantomData,
        };
        let delay: DelayFunction = delay::<C>;
        // JUSTIFICATION: the only way to have libpam not sleep itself.
        // SAFETY: the handle is live; PAM_FAIL_DELAY is a function of this type (pam_fail_delay(3)), given by value. It
        // is called with the data of the conversation, above.
        check(unsafe { pam_set_item(transaction.raw(), PAM_FAIL_DELAY, delay as *const c_void) })?;
        Ok(transaction)
    }

    /// Sets an item.
    pub(crate) fn set_item(&mut self, item: Item, value: &str) -> Result<(), Code> {
        let value = c_string(value.as_ref())?;
        // JUSTIFICATION: the only way to set an item.
        // SAFETY: the handle is live; all items of `Item` are C strings, which libpam copies (pam_set_item(3)).
        check(unsafe { pam_set_item(self.raw(), item as c_int, value.as_ptr().cast()) })
    }

    /// Puts a variable into the PAM environment.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) -> Result<(), Code> {
        let variable = c_string(format!("{name}={value}").as_ref())?;
        // JUSTIFICATION: the only way to set a variable.
        // SAFETY: the handle is live; libpam copies the text (pam_putenv(3)).
        check(unsafe { pam_putenv(self.raw(), variable.as_ptr()) })
    }

    /// PAM_USER, as modules left it.
    pub(crate) fn user(&self) -> Option<CString> {
        let mut value = std::ptr::null();
        // JUSTIFICATION: the only way to read an item.
        // SAFETY: the handle is live, the place for the answer ours.
        check(unsafe { pam_get_item(self.raw(), PAM_USER, &mut value) }).ok()?;
        let value = NonNull::new(value.cast_mut())?;
        // JUSTIFICATION: the answer is a C string.
        // SAFETY: PAM_USER is null, excluded above, or a terminated string of the transaction, copied before anything
        // else is called.
        Some(unsafe { CStr::from_ptr(value.as_ptr().cast()) }.to_owned())
    }

    /// Who is it?
    pub(crate) fn authenticate(&mut self, null_passwords: NullPasswords) -> Result<(), Code> {
        let flags = match null_passwords {
            NullPasswords::Disallowed => PAM_DISALLOW_NULL_AUTHTOK,
            NullPasswords::Allowed => 0,
        };
        // JUSTIFICATION: the call that this process is for.
        // SAFETY: the handle is live, and no other call on it is going on: `&mut self`.
        self.status = unsafe { pam_authenticate(self.raw(), flags) };
        check(self.status)
    }

    /// May they?
    pub(crate) fn account(&mut self) -> Result<(), Code> {
        // JUSTIFICATION: the call that this process is for.
        // SAFETY: as in `authenticate`.
        self.status = unsafe { pam_acct_mgmt(self.raw(), 0) };
        check(self.status)
    }

    /// Has the user choose a new password, if the old one has expired.
    pub(crate) fn change_expired_password(&mut self) -> Result<(), Code> {
        // JUSTIFICATION: the call that this process is for.
        // SAFETY: as in `authenticate`.
        self.status = unsafe { pam_chauthtok(self.raw(), PAM_CHANGE_EXPIRED_AUTHTOK) };
        check(self.status)
    }

    /// The PAM environment. What is no `NAME=value` is left out; libpam makes none.
    pub(crate) fn environment(&self) -> Vec<Variable> {
        // JUSTIFICATION: the only way to the whole of it.
        // SAFETY: the handle is live.
        let list = unsafe { pam_getenvlist(self.raw()) };
        let Some(list) = NonNull::new(list) else {
            return Vec::new();
        };
        let mut variables = Vec::new();
        let mut entry = list;
        // JUSTIFICATION: a C array has no length.
        // SAFETY: pam_getenvlist(3): an array of pointers whose last one is null; none before `entry` was.
        while let Some(text) = NonNull::new(unsafe { entry.read() }) {
            // JUSTIFICATION: it is a C string.
            // SAFETY: each pointer before the null is a terminated string, ours by now.
            let bytes = unsafe { CStr::from_ptr(text.as_ptr()) }.to_bytes();
            if let Some(equals) = bytes.iter().position(|byte| *byte == b'=')
                && let (name @ [_, ..], [_, value @ ..]) = bytes.split_at(equals)
            {
                variables.push(Variable {
                    name: name.to_vec(),
                    value: value.to_vec(),
                });
            }
            // JUSTIFICATION: pam_getenvlist(3) leaves it to the caller to free.
            // SAFETY: from malloc(3), and used no more.
            unsafe { libc::free(text.as_ptr().cast()) };
            // JUSTIFICATION: a C array.
            // SAFETY: this element was not the null, so there is one behind it.
            entry = unsafe { entry.add(1) };
        }
        // JUSTIFICATION: as above.
        // SAFETY: from malloc(3), and used no more.
        unsafe { libc::free(list.as_ptr().cast()) };
        variables
    }
}

impl<C> Transaction<'_, C> {
    fn raw(&self) -> *mut RawTransaction {
        self.handle.as_ptr()
    }
}

impl<C> Drop for Transaction<'_, C> {
    fn drop(&mut self) {
        // JUSTIFICATION: modules tidy up here: wipe passwords, remove files.
        // SAFETY: the handle is live, and this was its last use.
        let _nothing_left_to_do = unsafe { pam_end(self.raw(), self.status) };
    }
}

/// pam_conv(3): messages to Rust, answers to memory of malloc(3), which the module frees.
///
/// # Safety
/// Called by libpam or a module with the data of a [`Transaction`] of this `C`.
unsafe extern "C" fn converse<C: Converse>(
    count: c_int,
    messages: *mut *const RawMessage,
    replies: *mut *mut RawReply,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or_default();
    if !(1..=MESSAGE_LIMIT).contains(&count)
        || messages.is_null()
        || replies.is_null()
        || data.is_null()
    {
        return PAM_CONV_ERR;
    }
    // JUSTIFICATION: the module's messages are a C array of pointers (Linux-PAM's reading of the interface).
    // SAFETY: not null, and `count` pointers by the contract of pam_conv(3).
    let messages = unsafe { std::slice::from_raw_parts(messages, count) };
    let mut said = Vec::with_capacity(count);
    for message in messages {
        // JUSTIFICATION: as above.
        // SAFETY: null or a message, by the same contract.
        let Some(message) = (unsafe { message.as_ref() }) else {
            return PAM_CONV_ERR;
        };
        let style = match message.style {
            PAM_PROMPT_ECHO_OFF => Style::Secret,
            PAM_PROMPT_ECHO_ON => Style::Visible,
            PAM_ERROR_MSG => Style::Error,
            PAM_TEXT_INFO => Style::Information,
            // PAM_BINARY_PROMPT and PAM_RADIO_TYPE have no form in SSH.
            _ => return PAM_CONV_ERR,
        };
        // SAFETY: null or a terminated string, by the same contract.
        let text = unsafe { text_of(message.text) };
        said.push(Message { style, text });
    }
    let prompts: Vec<bool> = said.iter().map(|said| said.style.is_prompt()).collect();

    // JUSTIFICATION: C has no closures.
    // SAFETY: the data of `Transaction::start`: a live `C`, only ever used shared.
    let conversation = unsafe { &*data.cast::<C>() };
    let Some(answers) = conversation.converse(said) else {
        return PAM_CONV_ERR;
    };
    let Some(mut array) = Replies::new(count) else {
        return PAM_BUF_ERR;
    };
    let prompts = prompts.iter().enumerate().filter(|(_, prompt)| **prompt);
    let mut answers = answers.iter();
    for (index, _) in prompts {
        let Some(answer) = answers.next() else {
            return PAM_CONV_ERR;
        };
        if array.put(index, answer).is_none() {
            return PAM_BUF_ERR;
        }
    }
    // JUSTIFICATION: the answer's place is the caller's.
    // SAFETY: not null, and writable by the contract of pam_conv(3).
    unsafe { replies.write(array.into_raw()) };
    PAM_SUCCESS
}

/// pam_fail_delay(3): called after each phase, a successful one too: pam_unix(8) asks before it knows.
///
/// # Safety
/// Called by libpam with the data of a [`Transaction`] of this `C`.
unsafe extern "C" fn delay<C: Converse>(status: c_int, microseconds: c_uint, data: *mut c_void) {
    if status == PAM_SUCCESS {
        return;
    }
    // JUSTIFICATION: C has no closures.
    // SAFETY: null, or the data of `Transaction::start`: a live `C`, only ever used shared.
    if let Some(conversation) = unsafe { data.cast::<C>().as_ref() } {
        conversation.delay(Duration::from_micros(microseconds.into()));
    }
}

/// An array of replies that is freed, and its answers wiped, unless it is handed over.
struct Replies {
    array: NonNull<RawReply>,
    count: usize,
}

impl Replies {
    fn new(count: usize) -> Option<Self> {
        // JUSTIFICATION: modules free it with free(3).
        // SAFETY: always; the result is zeroes, which is a valid array of replies, or null.
        let array = unsafe { libc::calloc(count, size_of::<RawReply>()) };
        let array = NonNull::new(array.cast())?;
        Some(Self { array, count })
    }

    fn put(&mut self, index: usize, answer: &Secret) -> Option<()> {
        // JUSTIFICATION: a C array.
        // SAFETY: `count` replies, initialised by calloc(3), of which nobody else knows.
        let replies = unsafe { std::slice::from_raw_parts_mut(self.array.as_ptr(), self.count) };
        let reply = replies.get_mut(index)?;
        let bytes = answer.expose();
        // JUSTIFICATION: modules free it with free(3).
        // SAFETY: always; the last byte stays the terminator.
        let text = unsafe { libc::calloc(bytes.len() + 1, 1) };
        let text = NonNull::new(text.cast::<u8>())?.as_ptr();
        // JUSTIFICATION: copying into memory of malloc(3).
        // SAFETY: room for one byte more than these, and memory that is fresh overlaps nothing.
        unsafe { text.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        reply.text = text.cast();
        Some(())
    }

    fn into_raw(self) -> *mut RawReply {
        std::mem::ManuallyDrop::new(self).array.as_ptr()
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // JUSTIFICATION: a C array.
        // SAFETY: `count` replies, initialised by calloc(3).
        let replies = unsafe { std::slice::from_raw_parts(self.array.as_ptr(), self.count) };
        for reply in replies.iter().filter(|reply| !reply.text.is_null()) {
            // JUSTIFICATION: not to leave a password in free memory.
            // SAFETY: a terminated string of `put`.
            let length = unsafe { libc::strlen(reply.text) };
            // JUSTIFICATION: as above; unlike memset(3) it is not optimised away.
            // SAFETY: that many bytes are ours.
            unsafe { libc::explicit_bzero(reply.text.cast(), length) };
            // JUSTIFICATION: from calloc(3).
            // SAFETY: used no more.
            unsafe { libc::free(reply.text.cast()) };
        }
        // JUSTIFICATION: from calloc(3).
        // SAFETY: used no more.
        unsafe { libc::free(self.array.as_ptr().cast()) };
    }
}

/// A copy of a C string as text of at most [`TEXT_LIMIT`] bytes; nothing for null.
///
/// # Safety
/// Null or a terminated string that nobody changes during the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // JUSTIFICATION: it is a C string.
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mut text = String::from_utf8_lossy(text).into_owned();
    text.truncate(text.floor_char_boundary(TEXT_LIMIT));
    text
}

fn c_string(text: &OsStr) -> Result<CString, Code> {
    CString::new(text.as_bytes()).map_err(|_| Code::SYSTEM_ERR)
}

fn check(code: c_int) -> Result<(), Code> {
    match code {
        PAM_SUCCESS => Ok(()),
        code => Err(Code(code)),
    }
}

/// `pam_handle_t`: only libpam knows what is in it.
#[repr(C)]
struct RawTransaction {
    _opaque: [u8; 0],
    // Neither Send nor Sync, and no assumption about where it lives (the Rustonomicon's form of an opaque type).
    _marker: PhantomData<(*mut u8, std::marker::PhantomPinned)>,
}

/// `struct pam_message`
#[repr(C)]
struct RawMessage {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`
#[repr(C)]
struct RawReply {
    text: *mut c_char,
    _code: c_int,
}

/// `struct pam_conv`
#[repr(C)]
struct RawConversation {
    converse: unsafe extern "C" fn(
        c_int,
        *mut *const RawMessage,
        *mut *mut RawReply,
        *mut c_void,
    ) -> c_int,
    data: *mut c_void,
}

type DelayFunction = unsafe extern "C" fn(c_int, c_uint, *mut c_void);

// security/_pam_types.h
const PAM_SUCCESS: c_int = 0;
const PAM_BUF_ERR: c_int = 5;
const PAM_CONV_ERR: c_int = 19;
const PAM_DISALLOW_NULL_AUTHTOK: c_int = 0x1;
const PAM_CHANGE_EXPIRED_AUTHTOK: c_int = 0x20;
const PAM_USER: c_int = 2;
const PAM_FAIL_DELAY: c_int = 10;
const PAM_PROMPT_ECHO_OFF: c_int = 1;
const PAM_PROMPT_ECHO_ON: c_int = 2;
const PAM_ERROR_MSG: c_int = 3;
const PAM_TEXT_INFO: c_int = 4;

// security/_pam_types.h and security/pam_appl.h; pam_start_confdir came with Linux-PAM 1.4.
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const RawConversation,
        handle: *mut *mut RawTransaction,
    ) -> c_int;
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const RawConversation,
        directory: *const c_char,
        handle: *mut *mut RawTransaction,
    ) -> c_int;
    fn pam_end(handle: *mut RawTransaction, status: c_int) -> c_int;
    fn pam_authenticate(handle: *mut RawTransaction, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut RawTransaction, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut RawTransaction, flags: c_int) -> c_int;
    fn pam_putenv(handle: *mut RawTransaction, name_value: *const c_char) -> c_int;
    fn pam_set_item(handle: *mut RawTransaction, item: c_int, value: *const c_void) -> c_int;
    fn pam_get_item(handle: *const RawTransaction, item: c_int, value: *mut *const c_void)
    -> c_int;
    fn pam_getenvlist(handle: *mut RawTransaction) -> *mut *mut c_char;
    fn pam_strerror(handle: *mut RawTransaction, code: c_int) -> *const c_char;
}
