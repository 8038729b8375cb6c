//! The name of every error class of the standard, and what it means when nothing more is known.

use mpi_abi::consts;
use std::ffi::c_int;

/// The MPI name of a class of the standard.
pub fn class_name(class: c_int) -> Option<&'static str> {
    find(class).map(|(_, name, _)| *name)
}

/// What a class of the standard means.
pub fn class_text(class: c_int) -> Option<&'static str> {
    find(class).map(|(_, _, text)| *text)
}

fn find(class: c_int) -> Option<&'static (c_int, &'static str, &'static str)> {
    CLASSES.binary_search_by_key(&class, |(value, _, _)| *value).ok().map(|place| &CLASSES[place])
}

macro_rules! classes {
    ($($name:ident $text:literal)*) => { &[$((consts::$name, stringify!($name), $text)),*] };
}

/// In the order of their values.
static CLASSES: &[(c_int, &str, &str)] = classes! {
    MPI_SUCCESS "no error"
    MPI_ERR_BUFFER "a buffer is missing, or too small for what is asked"
    MPI_ERR_COUNT "a count is negative or too large"
    MPI_ERR_TYPE "not a valid datatype, or one that was not committed"
    MPI_ERR_TAG "a tag is negative or above MPI_TAG_UB"
    MPI_ERR_COMM "not a valid communicator, or not the kind that is needed"
    MPI_ERR_RANK "a rank is outside of the communicator or group"
    MPI_ERR_REQUEST "not a valid request"
    MPI_ERR_ROOT "the root is outside of the communicator"
    MPI_ERR_GROUP "not a valid group"
    MPI_ERR_OP "not a valid reduction operation, or not defined for this datatype"
    MPI_ERR_TOPOLOGY "the communicator has no topology, or another kind of topology"
    MPI_ERR_DIMS "the dimensions are not valid"
    MPI_ERR_ARG "an argument is not valid"
    MPI_ERR_UNKNOWN "an error of unknown kind"
    MPI_ERR_TRUNCATE "a message is longer than the buffer of its receive"
    MPI_ERR_OTHER "an error without a class of its own"
    MPI_ERR_INTERN "an error inside the library"
    MPI_ERR_PENDING "the operation was neither completed nor failed"
    MPI_ERR_IN_STATUS "some of several operations failed: the error code is in each status"
    MPI_ERR_ACCESS "no permission for this file"
    MPI_ERR_AMODE "the access mode of the file is not valid or not the same on all ranks"
    MPI_ERR_ASSERT "an assertion for the window is not valid"
    MPI_ERR_BAD_FILE "the name of the file is not valid"
    MPI_ERR_BASE "the base address is not one that was given out"
    MPI_ERR_CONVERSION "a user's conversion function for file data failed"
    MPI_ERR_DISP "a displacement is not valid"
    MPI_ERR_DUP_DATAREP "a data representation of this name is registered already"
    MPI_ERR_FILE_EXISTS "the file exists"
    MPI_ERR_FILE_IN_USE "the file is open in some process"
    MPI_ERR_FILE "not a valid file handle"
    MPI_ERR_INFO_KEY "a key is empty or longer than MPI_MAX_INFO_KEY"
    MPI_ERR_INFO_NOKEY "the info object has no such key"
    MPI_ERR_INFO_VALUE "a value is longer than MPI_MAX_INFO_VAL"
    MPI_ERR_INFO "not a valid info object"
    MPI_ERR_IO "reading or writing failed"
    MPI_ERR_KEYVAL "not a valid attribute key"
    MPI_ERR_LOCKTYPE "not a valid type of lock"
    MPI_ERR_NAME "no service is published under this name"
    MPI_ERR_NO_MEM "not enough memory"
    MPI_ERR_NOT_SAME "the ranks of a collective call gave different arguments"
    MPI_ERR_NO_SPACE "not enough space on the device"
    MPI_ERR_NO_SUCH_FILE "the file does not exist"
    MPI_ERR_PORT "not a valid name of a port"
    MPI_ERR_QUOTA "the disk quota is used up"
    MPI_ERR_READ_ONLY "the file or the file system can be read only"
    MPI_ERR_RMA_ATTACH "the memory cannot be attached to the window"
    MPI_ERR_RMA_CONFLICT "conflicting accesses to the window"
    MPI_ERR_RMA_RANGE "the target memory is not part of the window"
    MPI_ERR_RMA_SHARED "the memory cannot be shared with these ranks"
    MPI_ERR_RMA_SYNC "the window is not in the epoch that this call needs"
    MPI_ERR_SERVICE "the name of the service cannot be withdrawn: it is not published"
    MPI_ERR_SIZE "a size is not valid"
    MPI_ERR_SPAWN "the processes could not be started"
    MPI_ERR_UNSUPPORTED_DATAREP "this data representation is not supported"
    MPI_ERR_UNSUPPORTED_OPERATION "this operation is not supported"
    MPI_ERR_WIN "not a valid window"
    MPI_ERR_RMA_FLAVOR "the window is of another kind than this call needs"
    MPI_ERR_PROC_ABORTED "a process ended before the operation was complete"
    MPI_ERR_VALUE_TOO_LARGE "a value does not fit the integer that is to hold it"
    MPI_ERR_SESSION "not a valid session"
    MPI_ERR_ERRHANDLER "not a valid error handler"
    MPI_ERR_ABI "what the program and the library expect of the ABI does not fit together"
    MPI_T_ERR_CANNOT_INIT "the tool interface cannot be started"
    MPI_T_ERR_NOT_ACCESSIBLE "the tool interface cannot be used here"
    MPI_T_ERR_NOT_INITIALIZED "the tool interface is not started"
    MPI_T_ERR_NOT_SUPPORTED "this function of the tool interface is not supported"
    MPI_T_ERR_MEMORY "not enough memory for the tool interface"
    MPI_T_ERR_INVALID "an argument of the tool interface is not valid"
    MPI_T_ERR_INVALID_INDEX "the index of a variable, category or event does not exist"
    MPI_T_ERR_INVALID_ITEM "the item of an enumeration does not exist"
    MPI_T_ERR_INVALID_SESSION "not a valid session of performance variables"
    MPI_T_ERR_INVALID_HANDLE "not a valid handle of the tool interface"
    MPI_T_ERR_INVALID_NAME "there is no variable, category or event of this name"
    MPI_T_ERR_OUT_OF_HANDLES "no further handle can be given out"
    MPI_T_ERR_OUT_OF_SESSIONS "no further session can be opened"
    MPI_T_ERR_CVAR_SET_NOT_NOW "the control variable cannot be set at this moment"
    MPI_T_ERR_CVAR_SET_NEVER "the control variable can be set no more"
    MPI_T_ERR_PVAR_NO_WRITE "the performance variable can be read only"
    MPI_T_ERR_PVAR_NO_STARTSTOP "the performance variable can be neither started nor stopped"
    MPI_T_ERR_PVAR_NO_ATOMIC "the performance variable cannot be read and reset in one step"
    MPI_ERR_LASTCODE "the last error code of the standard; no error has it"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_the_search_finds_all() {
        assert!(CLASSES.is_sorted_by_key(|(value, _, _)| *value));
        assert_eq!(class_name(consts::MPI_ERR_RANK), Some("MPI_ERR_RANK"));
        assert_eq!(class_name(63), None);
    }
}
