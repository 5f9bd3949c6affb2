//! libpam's transactions as safe types: the one that a module is called in, and one of its own.
#![expect(
    unsafe_code,
    reason = "libpam is a C library; this module is the border to it"
)]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null, null_mut};

use crate::said::Said;

/// `pam_handle_t`: only libpam knows what is in it.
#[repr(C)]
#[derive(Debug)]
pub struct RawTransaction {
    _opaque: [u8; 0],
    // Neither Send nor Sync, and no assumption about where it lives (the Rustonomicon's form of an opaque type).
    _marker: PhantomData<(*mut u8, std::marker::PhantomPinned)>,
}

/// What libpam said when it did not do something: a `PAM_*` return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PamError(pub(crate) c_int);

impl PamError {
    /// `PAM_SYSTEM_ERR`
    pub(crate) const SYSTEM: Self = Self(4);
    /// `PAM_USER_UNKNOWN`
    pub(crate) const USER_UNKNOWN: Self = Self(10);
    /// `PAM_NEW_AUTHTOK_REQD`
    pub(crate) const PASSWORD_EXPIRED: Self = Self(12);
}

/// An item of the transaction, by its number in `security/_pam_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `PAM_USER`
    User = 2,
    /// `PAM_TTY`
    Terminal = 3,
    /// `PAM_RHOST`
    RemoteHost = 4,
}

/// The transaction of the call into this module that is going on.
#[derive(Debug)]
pub(crate) struct Transaction<'call> {
    handle: NonNull<RawTransaction>,
    _call: PhantomData<&'call mut RawTransaction>,
}

impl Transaction<'_> {
    /// Takes what libpam passed; null, which it never passes, is `None`.
    ///
    /// # Safety
    /// `handle` is null or a transaction of libpam that stays valid, and is used by nobody else, during `'call`.
    pub(crate) unsafe fn new(handle: *mut RawTransaction) -> Option<Self> {
        Some(Self {
            handle: NonNull::new(handle)?,
            _call: PhantomData,
        })
    }

    /// The value of a variable of the PAM environment, copied: the original lives only until the next change.
    pub(crate) fn variable(&self, name: &CStr) -> Option<CString> {
        // JUSTIFICATION: pam_getenv(3) is the only way to the PAM environment by name.
        // SAFETY: the handle is valid by the contract of `new`; the name is a C string that outlives the call.
        let value = unsafe { pam_getenv(self.handle.as_ptr(), name.as_ptr()) };
        let value = NonNull::new(value.cast_mut())?;
        // JUSTIFICATION: the answer is a C string.
        // SAFETY: pam_getenv(3) returns null, excluded above, or a terminated string inside of the transaction, which
        // nobody changes before the copy is made: this type is the only user of it, and borrowed.
        Some(unsafe { CStr::from_ptr(value.as_ptr()) }.to_owned())
    }

    /// Takes a variable out of the PAM environment.
    pub(crate) fn remove_variable(&mut self, name: &CStr) -> Result<(), PamError> {
        // JUSTIFICATION: pam_putenv(3) with a bare name is the only way to remove a variable.
        // SAFETY: the handle is valid by the contract of `new`; libpam only reads the name, during the call.
        check(unsafe { pam_putenv(self.handle.as_ptr(), name.as_ptr()) })
    }

    /// Puts a `NAME=value` into the PAM environment.
    pub(crate) fn set_variable(&mut self, variable: &CStr) -> Result<(), PamError> {
        // JUSTIFICATION: pam_putenv(3) is the only way to set a variable.
        // SAFETY: the handle is valid by the contract of `new`; libpam copies the text.
        check(unsafe { pam_putenv(self.handle.as_ptr(), variable.as_ptr()) })
    }

    /// A copy of an item.
    pub(crate) fn item(&self, item: Item) -> Option<CString> {
        // SAFETY: the handle is valid by the contract of `new`, and borrowed.
        unsafe { get_item(self.handle, item) }
    }

    /// Sets an item to a copy of `value`.
    pub(crate) fn set_item(&mut self, item: Item, value: &CStr) -> Result<(), PamError> {
        // SAFETY: the handle is valid by the contract of `new`, and borrowed.
        unsafe { set_item(self.handle, item, value) }
    }

    /// Leaves a text for other modules of the transaction, under this name. libpam frees it when it is replaced or the
    /// transaction ends.
    pub(crate) fn set_data(&mut self, name: &CStr, text: CString) -> Result<(), PamError> {
        let text = text.into_raw();
        // JUSTIFICATION: pam_set_data(3) is the only way to pass data between modules; pam_systemd(8) reads C strings.
        // SAFETY: the handle is valid by the contract of `new`; libpam copies the name; the text is given away, and
        // `free_text` fits how it was made. This module is still loaded then: pam_end(3) frees data before modules.
        let done = check(unsafe {
            pam_set_data(
                self.handle.as_ptr(),
                name.as_ptr(),
                text.cast::<c_void>(),
                Some(free_text),
            )
        });
        if done.is_err() {
            // JUSTIFICATION: the text would leak.
            // SAFETY: libpam did not take it: it fails before it stores anything (pam_data.c).
            drop(unsafe { CString::from_raw(text) });
        }
        done
    }
}

/// A transaction of this module's own, which asks another service.
#[derive(Debug)]
pub(crate) struct Nested<'said> {
    handle: NonNull<RawTransaction>,
    /// The last result, which `pam_end` tells the modules.
    status: c_int,
    /// libpam knows it by its address.
    _said: PhantomData<&'said RefCell<Said>>,
}

impl<'said> Nested<'said> {
    /// Begins one. What its modules say goes to `said`, and they are answered nothing: nobody is there.
    pub(crate) fn start(
        service: &CStr,
        user: &CStr,
        directory: Option<&CStr>,
        said: &'said RefCell<Said>,
    ) -> Result<Self, PamError> {
        let conversation = Conversation {
            _conv: hear,
            _data: (&raw const *said).cast_mut().cast(),
        };
        let mut handle = null_mut();
        let (service, user) = (service.as_ptr(), user.as_ptr());
        let directory = directory.map_or(null(), CStr::as_ptr);
        // JUSTIFICATION: pam_start_confdir(3) is the only way to a transaction with a directory; without one (null) it
        // is pam_start(3).
        // SAFETY: the strings outlive the call and are copied, as is the conversation; its data is what `hear` takes, and
        // outlives the transaction; the handle is written once.
        check(unsafe { pam_start_confdir(service, user, &conversation, directory, &mut handle) })?;
        Ok(Self {
            handle: NonNull::new(handle).ok_or(PamError::SYSTEM)?,
            status: 0,
            _said: PhantomData,
        })
    }

    /// A copy of an item.
    pub(crate) fn item(&self, item: Item) -> Option<CString> {
        // SAFETY: the handle is live until drop, and borrowed.
        unsafe { get_item(self.handle, item) }
    }

    /// Sets an item to a copy of `value`.
    pub(crate) fn set_item(&mut self, item: Item, value: &CStr) -> Result<(), PamError> {
        // SAFETY: the handle is live until drop, and borrowed.
        unsafe { set_item(self.handle, item, value) }
    }

    /// Puts a variable into its environment.
    pub(crate) fn set_variable(&mut self, name: &CStr, value: &CStr) -> Result<(), PamError> {
        let variable = [name.to_bytes(), b"=", value.to_bytes_with_nul()].concat();
        let variable = CString::from_vec_with_nul(variable).map_err(|_| PamError::SYSTEM)?;
        // JUSTIFICATION: pam_putenv(3) is the only way to set a variable.
        // SAFETY: the handle is live until drop, and borrowed; libpam copies the text.
        check(unsafe { pam_putenv(self.handle.as_ptr(), variable.as_ptr()) })
    }

    /// The account phase.
    pub(crate) fn account(&mut self) -> Result<(), PamError> {
        // JUSTIFICATION: the phase of this name is a function of libpam's.
        // SAFETY: the handle is live until drop, and nobody else has it.
        self.status = unsafe { pam_acct_mgmt(self.handle.as_ptr(), 0) };
        check(self.status)
    }

    /// The beginning of the session phase, not silent.
    pub(crate) fn open(&mut self) -> Result<(), PamError> {
        // JUSTIFICATION: the phase of this name is a function of libpam's.
        // SAFETY: the handle is live until drop, and nobody else has it.
        self.status = unsafe { pam_open_session(self.handle.as_ptr(), 0) };
        check(self.status)
    }

    /// Its environment: `NAME=value` each.
    pub(crate) fn environment(&self) -> Vec<CString> {
        // JUSTIFICATION: pam_getenvlist(3) is the only way to all variables.
        // SAFETY: the handle is live until drop, and borrowed.
        let list = unsafe { pam_getenvlist(self.handle.as_ptr()) };
        let mut variables = Vec::new();
        let mut next = list;
        while !next.is_null() {
            // SAFETY: an array with null at its end, which ends the loop.
            let Some(variable) = NonNull::new(unsafe { next.read() }) else {
                break;
            };
            // SAFETY: each element is a C string.
            variables.push(unsafe { CStr::from_ptr(variable.as_ptr()) }.to_owned());
            // JUSTIFICATION: the list is the caller's, made with malloc(3).
            // SAFETY: nobody uses the string again.
            unsafe { free(variable.as_ptr().cast::<c_void>()) };
            // SAFETY: this was not the last element.
            next = unsafe { next.add(1) };
        }
        // SAFETY: the list is the caller's, and nobody uses it again; null is nothing to free.
        unsafe { free(list.cast::<c_void>()) };
        variables
    }
}

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        // JUSTIFICATION: modules free what they have with the transaction.
        // SAFETY: the handle came from pam_start_confdir and is ended once. A failure leaves nothing to be done.
        unsafe { pam_end(self.handle.as_ptr(), self.status) };
    }
}

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    _conv: unsafe extern "C" fn(
        c_int,
        *const *const Message,
        *mut *mut Response,
        *mut c_void,
    ) -> c_int,
    _data: *mut c_void,
}

/// The conversation of a [`Nested`] transaction: texts are kept, and a question is an error, as in systemd's.
///
/// # Safety
/// Called by libpam or a module as pam_conv(3) has it, with the data of a [`Nested`] transaction.
unsafe extern "C" fn hear(
    count: c_int,
    messages: *const *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if !(1..=MESSAGES_LIMIT).contains(&count)
        || messages.is_null()
        || responses.is_null()
        || data.is_null()
    {
        return PAM_CONV_ERR;
    }
    // JUSTIFICATION: the module's messages are a C array of pointers (Linux-PAM's reading of the interface).
    // SAFETY: not null, and `count` pointers by the contract of pam_conv(3).
    let messages = unsafe { std::slice::from_raw_parts(messages, count) };
    // JUSTIFICATION: C has no closures.
    // SAFETY: the data of `Nested::start`, which outlives the transaction, and is only ever used shared.
    let said = unsafe { &*data.cast::<RefCell<Said>>() };
    for message in messages {
        // JUSTIFICATION: as above.
        // SAFETY: null or a message, by the same contract.
        let Some(message) = (unsafe { message.as_ref() }) else {
            return PAM_CONV_ERR;
        };
        if !matches!(message.style, PAM_ERROR_MSG | PAM_TEXT_INFO) {
            return PAM_CONV_ERR;
        }
        if !message.text.is_null() {
            // JUSTIFICATION: a C string.
            // SAFETY: terminated, by the same contract.
            said.borrow_mut()
                .add(unsafe { CStr::from_ptr(message.text) });
        }
    }
    // JUSTIFICATION: modules free it with free(3).
    // SAFETY: always; zeroes are responses without a text.
    let empty = unsafe { calloc(count, size_of::<Response>()) };
    if empty.is_null() {
        return PAM_BUF_ERR;
    }
    // JUSTIFICATION: the answer's place is the caller's.
    // SAFETY: not null, and writable by the same contract.
    unsafe { responses.write(empty.cast()) };
    0
}

/// `struct pam_message`
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`
#[repr(C)]
struct Response {
    _text: *mut c_char,
    _code: c_int,
}

/// `PAM_MAX_NUM_MSG`
const MESSAGES_LIMIT: usize = 32;

const PAM_BUF_ERR: c_int = 5;
const PAM_CONV_ERR: c_int = 19;
const PAM_ERROR_MSG: c_int = 3;
const PAM_TEXT_INFO: c_int = 4;

/// # Safety
/// The handle is live, and used by nobody else.
unsafe fn get_item(handle: NonNull<RawTransaction>, item: Item) -> Option<CString> {
    let mut value = null();
    // JUSTIFICATION: pam_get_item(3) is the only way to an item.
    // SAFETY: the handle is live by the caller's promise; libpam writes the pointer or leaves it.
    check(unsafe { pam_get_item(handle.as_ptr(), item as c_int, &mut value) }).ok()?;
    let value = NonNull::new(value.cast_mut())?.cast::<c_char>();
    // JUSTIFICATION: the answer is a C string.
    // SAFETY: all items of `Item` are strings of the transaction, which nobody changes before the copy is made.
    Some(unsafe { CStr::from_ptr(value.as_ptr()) }.to_owned())
}

/// # Safety
/// The handle is live, and used by nobody else.
unsafe fn set_item(
    handle: NonNull<RawTransaction>,
    item: Item,
    value: &CStr,
) -> Result<(), PamError> {
    let value = value.as_ptr().cast::<c_void>();
    // JUSTIFICATION: pam_set_item(3) is the only way to set an item.
    // SAFETY: the handle is live by the caller's promise; all items of `Item` are C strings, and libpam copies strings
    // (pam_set_item(3)), so the value need not outlive the call.
    check(unsafe { pam_set_item(handle.as_ptr(), item as c_int, value) })
}

/// Frees what [`Transaction::set_data`] left with libpam.
///
/// # Safety
/// `data` came from `CString::into_raw`, and libpam calls this once for it.
unsafe extern "C" fn free_text(_pamh: *mut RawTransaction, data: *mut c_void, _status: c_int) {
    // JUSTIFICATION: libpam keeps data as a pointer and gives it back here.
    // SAFETY: by the contract above. Nobody writes to the text, so its length is the same as when it was given away.
    drop(unsafe { CString::from_raw(data.cast::<c_char>()) });
}

fn check(code: c_int) -> Result<(), PamError> {
    if code == 0 {
        Ok(())
    } else {
        Err(PamError(code))
    }
}

/// The words after a module's name in its line of pam.d(5).
///
/// # Safety
/// `words` points to `count` C strings that outlive `'call`, as libpam passes them to modules.
pub(crate) unsafe fn arguments<'call>(
    count: c_int,
    words: *const *const c_char,
) -> Vec<&'call CStr> {
    let count = usize::try_from(count).unwrap_or(0);
    if words.is_null() {
        return Vec::new();
    }
    // JUSTIFICATION: libpam is a C library and hands over raw pointers.
    // SAFETY: by the contract above.
    let words = unsafe { std::slice::from_raw_parts(words, count) };
    let words = words.iter().filter(|word| !word.is_null());
    // SAFETY: the same.
    words.map(|word| unsafe { CStr::from_ptr(*word) }).collect()
}

// security/_pam_types.h; the interface has been the same since Linux-PAM 1.0, pam_start_confdir is there since 1.4.
unsafe extern "C" {
    fn pam_getenv(pamh: *mut RawTransaction, name: *const c_char) -> *const c_char;
    fn pam_putenv(pamh: *mut RawTransaction, name_value: *const c_char) -> c_int;
    fn pam_get_item(
        pamh: *const RawTransaction,
        item_type: c_int,
        item: *mut *const c_void,
    ) -> c_int;
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        directory: *const c_char,
        pamh: *mut *mut RawTransaction,
    ) -> c_int;
    fn pam_end(pamh: *mut RawTransaction, status: c_int) -> c_int;
    fn pam_acct_mgmt(pamh: *mut RawTransaction, flags: c_int) -> c_int;
    fn pam_set_item(pamh: *mut RawTransaction, item_type: c_int, item: *const c_void) -> c_int;
    fn pam_set_data(
        pamh: *mut RawTransaction,
        name: *const c_char,
        data: *mut c_void,
        cleanup: Option<unsafe extern "C" fn(*mut RawTransaction, *mut c_void, c_int)>,
    ) -> c_int;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn pam_open_session(pamh: *mut RawTransaction, flags: c_int) -> c_int;
    fn pam_getenvlist(pamh: *mut RawTransaction) -> *mut *mut c_char;
}
