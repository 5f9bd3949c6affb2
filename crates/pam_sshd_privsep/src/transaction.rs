//! libpam's transaction as a safe type: four functions of its C interface, and nothing else of it.
#![expect(
    unsafe_code,
    reason = "libpam is a C library; this module is the border to it"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

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

/// An item of the transaction, by its number in `security/_pam_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
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

    /// Sets an item to a copy of `value`.
    pub(crate) fn set_item(&mut self, item: Item, value: &CStr) -> Result<(), PamError> {
        let value = value.as_ptr().cast::<c_void>();
        // JUSTIFICATION: pam_set_item(3) is the only way to set an item.
        // SAFETY: the handle is valid by the contract of `new`; both items of `Item` are C strings, and libpam copies
        // strings (pam_set_item(3)), so the value need not outlive the call.
        check(unsafe { pam_set_item(self.handle.as_ptr(), item as c_int, value) })
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

// security/_pam_types.h; the interface has been the same since Linux-PAM 1.0.
unsafe extern "C" {
    fn pam_getenv(pamh: *mut RawTransaction, name: *const c_char) -> *const c_char;
    fn pam_putenv(pamh: *mut RawTransaction, name_value: *const c_char) -> c_int;
    fn pam_set_item(pamh: *mut RawTransaction, item_type: c_int, item: *const c_void) -> c_int;
    fn pam_set_data(
        pamh: *mut RawTransaction,
        name: *const c_char,
        data: *mut c_void,
        cleanup: Option<unsafe extern "C" fn(*mut RawTransaction, *mut c_void, c_int)>,
    ) -> c_int;
}
