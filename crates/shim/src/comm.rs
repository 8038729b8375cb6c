//! Communicators: what they are, how they are made and freed (MPI-5.0 sections 7.4 and 7.6). The
//! engine's part is `engine::comm_manage`; attributes are copied and deleted from here, because
//! their functions are the user's.

use crate::args::{self, Out, int};
use crate::attr::{self, Object};
use engine::comm::facts::{self, Facts};
use engine::errhandler::{self, Handler, Owner};
use engine::group::{self, Group as Processes};
use engine::info::{self, Info as Hints};
use engine::{Error, Result, comm_manage, with};
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_COMM, MPI_INFO_NULL};
use mpi_abi::{Comm, Errhandler, Group, Info, Request};
use std::ffi::{c_char, c_int};
use std::sync::Arc;

#[inline]
fn facts(comm: Comm) -> Result<Facts> {
    match facts::known(comm) {
        Some(facts) => Ok(facts),
        None => with(|e| e.comm_facts(comm)),
    }
}

pub(crate) unsafe fn MPI_Comm_size(comm: Comm, size: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let size = unsafe { Out::new(size, "size") }?;
    size.set(int(facts(comm)?.size));
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_rank(comm: Comm, rank: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let rank = unsafe { Out::new(rank, "rank") }?;
    rank.set(int(facts(comm)?.rank));
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_test_inter(comm: Comm, flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    flag.set_flag(facts(comm)?.inter);
    Ok(())
}

/// The other side's group of an intercommunicator.
fn remote(comm: Comm) -> Result<Arc<Processes>> {
    with(|e| {
        e.comm(comm)?
            .core
            .remote
            .clone()
            .ok_or_else(|| Error::new(MPI_ERR_COMM, "the communicator is an intracommunicator: it has no remote group"))
    })
}

pub(crate) unsafe fn MPI_Comm_remote_size(comm: Comm, size: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let size = unsafe { Out::new(size, "size") }?;
    size.set(int(remote(comm)?.size()));
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_group(comm: Comm, group: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let group = unsafe { Out::new(group, "group") }?;
    group.set(with(|e| {
        let processes = Arc::clone(&e.comm(comm)?.core.group);
        Ok::<_, Error>(group::create(&mut e.objects, processes))
    })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_remote_group(comm: Comm, group: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let group = unsafe { Out::new(group, "group") }?;
    let processes = remote(comm)?;
    group.set(with(|e| group::create(&mut e.objects, processes)));
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_compare(comm1: Comm, comm2: Comm, result: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let result = unsafe { Out::new(result, "result") }?;
    result.set(with(|e| comm_manage::compare(e, comm1, comm2))?);
    Ok(())
}

/// A duplicate with attributes, and with the hints of `info`.
fn duplicate(comm: Comm, info: Info) -> Result<Comm> {
    let hints = with(|e| {
        e.comm(comm)?;
        info::optional(&e.objects, info)
    })?;
    let new = comm_manage::dup(comm)?;
    with(|e| e.set_comm_hints(new, &hints))?;
    attr::copy_all(Object::Comm(comm), Object::Comm(new)).inspect_err(|_| {
        // What was copied so far goes the way it came; the first error is the one to report.
        let _ = attr::delete_all(Object::Comm(new));
        let _ = comm_manage::free(new);
    })?;
    Ok(new)
}

pub(crate) unsafe fn MPI_Comm_dup(comm: Comm, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the same duty as the caller's.
    unsafe { MPI_Comm_dup_with_info(comm, MPI_INFO_NULL, newcomm) }
}

pub(crate) unsafe fn MPI_Comm_dup_with_info(comm: Comm, info: Info, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    newcomm.set(duplicate(comm, info)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_idup(comm: Comm, newcomm: *mut Comm, request: *mut Request) -> Result<()> {
    // SAFETY: the same duty as the caller's.
    unsafe { MPI_Comm_idup_with_info(comm, MPI_INFO_NULL, newcomm, request) }
}

pub(crate) unsafe fn MPI_Comm_idup_with_info(
    comm: Comm,
    info: Info,
    newcomm: *mut Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (newcomm, request) = unsafe { (Out::new(newcomm, "newcomm")?, Out::new(request, "request")?) };
    let hints = with(|e| {
        e.comm(comm)?;
        info::optional(&e.objects, info)
    })?;
    let (attributes, copied) = attr::copies(Object::Comm(comm));
    match copied {
        Ok(()) => {
            if let Some((new, raw)) = comm_manage::idup(comm, Some(comm_manage::Copied { hints, attributes }))? {
                newcomm.set(new);
                request.set(Request::from_raw(raw));
            }
            Ok(())
        }
        Err(error) => {
            // The other processes make theirs, which needs us.
            comm_manage::idup(comm, None)?;
            attr::drop_copies(Object::Comm(MPI_COMM_NULL), attributes);
            Err(error)
        }
    }
}

/// The processes of a group handle.
fn processes(group: Group) -> Result<Arc<Processes>> {
    with(|e| group::get(&e.objects, group).cloned())
}

pub(crate) unsafe fn MPI_Comm_create(comm: Comm, group: Group, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    with(|e| e.comm(comm).map(|_| ()))?;
    newcomm.set(comm_manage::create(comm, &*processes(group)?)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_create_group(comm: Comm, group: Group, tag: c_int, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    with(|e| e.comm(comm).map(|_| ()))?;
    newcomm.set(comm_manage::create_group(comm, &*processes(group)?, tag)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_split(comm: Comm, color: c_int, key: c_int, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    newcomm.set(comm_manage::split(comm, color, key)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_split_type(
    comm: Comm,
    split_type: c_int,
    key: c_int,
    info: Info,
    newcomm: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    let hints = with(|e| {
        e.comm(comm)?;
        info::optional(&e.objects, info)
    })?;
    let (new, chosen) = comm_manage::split_type(comm, split_type, key, &hints)?;
    hinted(new, &hints)?;
    with(|e| {
        // The choice that was left to us is said in the info that was given.
        if let Some(chosen) = chosen
            && info != MPI_INFO_NULL
        {
            info::get_mut(&mut e.objects, info)?.put("mpi_hw_resource_type", chosen);
        }
        Ok::<_, Error>(())
    })?;
    newcomm.set(new);
    Ok(())
}

/// No process was spawned: that is not implemented so far.
pub(crate) unsafe fn MPI_Comm_get_parent(parent: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { Out::new(parent, "parent") }?.set(MPI_COMM_NULL);
    Ok(())
}

/// Ends a communicator: its attributes, then itself.
fn end(comm: &Out<Comm>) -> Result<()> {
    comm_manage::check_free(comm.get())?;
    attr::delete_all(Object::Comm(comm.get()))?;
    comm_manage::free(comm.get())?;
    comm.set(MPI_COMM_NULL);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_free(comm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    end(&unsafe { Out::new(comm, "comm") }?)
}

pub(crate) unsafe fn MPI_Comm_disconnect(comm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let comm = unsafe { Out::new(comm, "comm") }?;
    comm_manage::quiesce(comm.get())?;
    end(&comm)
}

pub(crate) unsafe fn MPI_Comm_set_info(comm: Comm, info: Info) -> Result<()> {
    with(|e| {
        e.kept(comm)?;
        let hints = info::get(&e.objects, info)?.clone();
        e.set_comm_hints(comm, &hints)
    })
}

pub(crate) unsafe fn MPI_Comm_get_info(comm: Comm, info_used: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info_used = unsafe { Out::new(info_used, "info_used") }?;
    info_used.set(with(|e| {
        let hints: Hints = e.comm_hints(comm)?;
        Ok::<_, Error>(info::create(&mut e.objects, hints))
    })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Intercomm_create(
    local_comm: Comm,
    local_leader: c_int,
    peer_comm: Comm,
    remote_leader: c_int,
    tag: c_int,
    newintercomm: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newintercomm = unsafe { Out::new(newintercomm, "newintercomm") }?;
    newintercomm.set(comm_manage::intercomm_create(local_comm, local_leader, peer_comm, remote_leader, tag)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Intercomm_merge(intercomm: Comm, high: c_int, newintracomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newintracomm = unsafe { Out::new(newintracomm, "newintracomm") }?;
    newintracomm.set(comm_manage::intercomm_merge(intercomm, high != 0)?);
    Ok(())
}

/// Gives a new communicator its hints; processes outside of it have none.
fn hinted(new: Comm, hints: &Hints) -> Result<Comm> {
    if new != MPI_COMM_NULL {
        with(|e| e.set_comm_hints(new, hints))?;
    }
    Ok(new)
}

/// What communicators out of groups are made with besides.
fn with_handler(errhandler: Errhandler, info: Info) -> Result<(Handler, Hints)> {
    with(|e| {
        let handler = errhandler::resolve(&e.objects.errhandlers, errhandler, Owner::Comm)?;
        Ok((handler, info::optional(&e.objects, info)?))
    })
}

pub(crate) unsafe fn MPI_Comm_create_from_group(
    group: Group,
    stringtag: *const c_char,
    info: Info,
    errhandler: Errhandler,
    newcomm: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the address.
    let (tag, newcomm) = unsafe { (args::bytes(stringtag, "stringtag")?, Out::new(newcomm, "newcomm")?) };
    let processes = processes(group)?;
    let (handler, hints) = with_handler(errhandler, info)?;
    newcomm.set(hinted(comm_manage::create_from_group(&processes, tag, handler)?, &hints)?);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Intercomm_create_from_groups(
    local_group: Group,
    local_leader: c_int,
    remote_group: Group,
    remote_leader: c_int,
    stringtag: *const c_char,
    info: Info,
    errhandler: Errhandler,
    newintercomm: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the address.
    let (tag, newintercomm) =
        unsafe { (args::bytes(stringtag, "stringtag")?, Out::new(newintercomm, "newintercomm")?) };
    let (local, remote) = (processes(local_group)?, processes(remote_group)?);
    let (handler, hints) = with_handler(errhandler, info)?;
    let new = comm_manage::intercomm_create_from_groups(&local, local_leader, &remote, remote_leader, tag, handler)?;
    newintercomm.set(hinted(new, &hints)?);
    Ok(())
}
