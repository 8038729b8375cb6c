//! Handle types: one newtype per kind of MPI object, each the size of a pointer.
//!
//! In C a handle is a pointer to a type that is never defined; the values below
//! [`FIRST_DYNAMIC_HANDLE`](crate::FIRST_DYNAMIC_HANDLE) are fixed by the ABI and stand in
//! [`consts`](crate::consts). What any other value means is known to the library that made it.

use core::ffi::c_int;
use core::fmt;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub usize);

        impl $name {
            /// The handle with this bit pattern.
            #[must_use]
            pub const fn from_raw(raw: usize) -> Self {
                Self(raw)
            }

            /// The bit pattern.
            #[must_use]
            pub const fn raw(self) -> usize {
                self.0
            }

            /// Whether the ABI itself gives this value a meaning.
            #[must_use]
            pub const fn is_predefined(self) -> bool {
                self.0 < crate::FIRST_DYNAMIC_HANDLE
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        const _: () = assert!(size_of::<$name>() == size_of::<*const ()>());
    )*};
}

handles! {
    /// `MPI_Comm`: a communicator.
    Comm;
    /// `MPI_Datatype`: a datatype.
    Datatype;
    /// `MPI_Errhandler`: an error handler.
    Errhandler;
    /// `MPI_File`: an open file.
    File;
    /// `MPI_Group`: an ordered set of processes.
    Group;
    /// `MPI_Info`: an ordered list of key and value.
    Info;
    /// `MPI_Message`: a message that a matched probe took out of the queue.
    Message;
    /// `MPI_Op`: a reduction.
    Op;
    /// `MPI_Request`: an operation under way.
    Request;
    /// `MPI_Session`: a session.
    Session;
    /// `MPI_Win`: a window for one-sided access.
    Win;
    /// `MPI_T_enum`: the values that a tool variable can have.
    TEnum;
    /// `MPI_T_cvar_handle`: access to a control variable.
    TCvarHandle;
    /// `MPI_T_pvar_handle`: access to a performance variable.
    TPvarHandle;
    /// `MPI_T_pvar_session`: performance variables read together.
    TPvarSession;
    /// `MPI_T_event_registration`: an event that somebody listens to.
    TEventRegistration;
    /// `MPI_T_event_instance`: one event that has happened.
    TEventInstance;
}

/// `MPI_T_cb_safety`: what an event callback may do.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TCbSafety(pub c_int);

/// `MPI_T_source_order`: whether a source gives its events in the order of their times.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TSourceOrder(pub c_int);
