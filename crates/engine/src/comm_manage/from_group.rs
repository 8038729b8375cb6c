//! Communicators out of groups alone, for programs that work with sessions (MPI-5.0 sections 7.4.2
//! and 7.6.2). There is no parent to talk on: the members use the engine's context of
//! `MPI_COMM_SELF`, which carries nothing else between processes, with a tag made of the user's
//! string tag and the groups.

use super::agree::{self, PAIR, Reader, TRIPLE};
use super::inter::connect;
use super::world_rank;
use crate::comm::{CommCore, Kept, SELF_CONTEXT, bad_rank};
use crate::errhandler::Handler;
use crate::group::Group;
use crate::status::Call;
use crate::{Error, Result, with};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_ARG, MPI_ERR_GROUP, MPI_ERR_OTHER, MPI_MAX_STRINGTAG_LEN};
use std::ffi::c_int;
use std::sync::Arc;

/// A communicator of `group`, whose members all call this with the same string tag; null for the empty group.
pub fn create_from_group(group: &Group, string_tag: &[u8], handler: Handler) -> Result<Handle> {
    check_string_tag(string_tag)?;
    if group.is_empty() {
        return Ok(MPI_COMM_NULL);
    }
    let me = with(|e| e.me);
    let Some(rank) = group.rank_of(me) else {
        return Err(Error::new(MPI_ERR_GROUP, format!("this process is not in the group of {}", group.size())));
    };
    let context = meet(Call::CommCreateFromGroup, &[string_tag], group.iter().collect(), me, PAIR)?;
    Ok(with(|e| e.enter(None, CommCore::new(context, Arc::new(group.clone()), rank, None), Kept::with(handler), None)))
}

/// An intercommunicator between two groups, whose members all call this with the same string tag; null if
/// one of them is empty.
pub fn intercomm_create_from_groups(
    local: &Group,
    local_leader: c_int,
    remote: &Group,
    remote_leader: c_int,
    string_tag: &[u8],
    handler: Handler,
) -> Result<Handle> {
    check_string_tag(string_tag)?;
    if local.is_empty() || remote.is_empty() {
        return Ok(MPI_COMM_NULL);
    }
    for (what, leader, group) in
        [("the local leader", local_leader, local), ("the remote leader", remote_leader, remote)]
    {
        if u32::try_from(leader).ok().is_none_or(|rank| rank >= group.size()) {
            return Err(bad_rank(what, leader, group.size()));
        }
    }
    if let Some(both) = remote.iter().find(|world| local.contains(*world)) {
        return Err(Error::new(MPI_ERR_GROUP, format!("the two groups overlap: rank {both} of the job is in both")));
    }
    let me = with(|e| e.me);
    if !local.contains(me) {
        return Err(Error::new(MPI_ERR_GROUP, format!("this process is not in the local group of {}", local.size())));
    }
    // Everybody lists the processes in the same order, so that all talk to the same one.
    let first = world_rank(local, 0)? < world_rank(remote, 0)?;
    let (one, other) = if first { (local, remote) } else { (remote, local) };
    let base = meet(
        Call::IntercommCreateFromGroups,
        &[b"inter", string_tag],
        one.iter().chain(other.iter()).collect(),
        me,
        TRIPLE,
    )?;
    connect(base, local, remote, me, handler)
}

fn check_string_tag(string_tag: &[u8]) -> Result<()> {
    let longest = usize::try_from(MPI_MAX_STRINGTAG_LEN).unwrap_or(0);
    if string_tag.len() < longest {
        return Ok(());
    }
    let len = string_tag.len();
    Err(Error::new(MPI_ERR_ARG, format!("the string tag has {len} characters, {} are allowed", longest - 1)))
}

/// `count` context numbers that `members` agree on: the first takes them and tells the others.
fn meet(call: Call, words: &[&[u8]], members: Vec<u32>, me: u32, count: u32) -> Result<u32> {
    let context = SELF_CONTEXT + 1;
    let name = name(words, &members);
    let tag = hash(&name);
    let first = members.first().copied().unwrap_or(me);
    if me != first {
        let told = agree::hear(call, None, context, first, tag)?;
        let mut reader = Reader(&told);
        let number = reader.context()?;
        if reader.0 != name {
            return Err(Error::new(
                MPI_ERR_OTHER,
                format!("rank {first} of the job makes another communicator at the same time: use other string tags"),
            ));
        }
        return Ok(number);
    }
    let taken = agree::take(count)?;
    let told = [&taken.to_le_bytes()[..], &name].concat();
    for member in members.into_iter().filter(|member| *member != me) {
        agree::tell(context, member, tag, &told)?;
    }
    Ok(taken)
}

/// What the call is about, as bytes.
fn name(words: &[&[u8]], members: &[u32]) -> Vec<u8> {
    let mut name = Vec::new();
    for word in words {
        name.extend(*word);
        name.push(0);
    }
    agree::write_numbers(&mut name, members.iter().copied());
    name
}

/// A tag for `name`: FNV-1a folded to the non-negative numbers.
fn hash(name: &[u8]) -> c_int {
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    c_int::try_from((hash ^ (hash >> 31)) & 0x7fff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_words_and_members_apart() {
        let names = [
            name(&[b"a", b"b"], &[0, 1]),
            name(&[b"ab"], &[0, 1]),
            name(&[b"ab"], &[1, 0]),
            name(&[b"ab"], &[0, 1, 2]),
        ];
        for (i, one) in names.iter().enumerate() {
            assert!(hash(one) >= 0);
            for other in &names[..i] {
                assert_ne!(one, other);
                assert_ne!(hash(one), hash(other));
            }
        }
    }

    #[test]
    fn string_tags_have_a_limit() {
        assert!(check_string_tag(&[b'x'; 1023]).is_ok());
        assert!(check_string_tag(&[b'x'; 1024]).unwrap_err().text.contains("1024"));
    }
}
