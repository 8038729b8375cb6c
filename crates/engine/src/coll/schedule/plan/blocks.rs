//! Blocks that go from one rank to another as they are: Gather, Scatter, Allgather, Alltoall in all their forms.
//! Each block goes straight from its sender to its receiver: on one machine no way is shorter.

use super::super::Bytes;
use super::super::build::{Builder, Place};
use super::apart;
use crate::Result;
use crate::coll::{Arg, Row};
use std::ffi::c_int;

impl Builder<'_> {
    /// `recv` counts on the root only; `send` none there is in place.
    pub(super) fn gather(&mut self, send: Option<&Arg>, recv: Option<&Row>, root: c_int) -> Result<()> {
        let place = self.place(root)?;
        let send = send.map(|send| self.bytes(send)).transpose()?;
        match (place, send, recv) {
            (Place::Root, send, Some(recv)) => {
                let far = self.far();
                let blocks = self.row(recv, far.len())?;
                apart(send.as_slice(), &blocks)?;
                for other in self.others(&far) {
                    self.recv(far[other], blocks[other].clone());
                }
                if let Some(send) = send.filter(|_| !self.is_inter()) {
                    self.copy_own(send, blocks[self.me()].clone())?;
                }
            }
            (Place::Leaf(root), Some(send), _) => {
                self.send(root, send);
            }
            _ => {}
        }
        Ok(())
    }

    /// `send` counts on the root only; `recv` none there is in place.
    pub(super) fn scatter(&mut self, send: Option<&Row>, recv: Option<&Arg>, root: c_int) -> Result<()> {
        let place = self.place(root)?;
        let recv = recv.map(|recv| self.bytes(recv)).transpose()?;
        match (place, send, recv) {
            (Place::Root, Some(send), recv) => {
                let far = self.far();
                let blocks = self.row(send, far.len())?;
                apart(&blocks, recv.as_slice())?;
                for other in self.others(&far) {
                    self.send(far[other], blocks[other].clone());
                }
                if let Some(recv) = recv.filter(|_| !self.is_inter()) {
                    self.copy_own(blocks[self.me()].clone(), recv)?;
                }
            }
            (Place::Leaf(root), _, Some(recv)) => {
                self.recv(root, recv);
            }
            _ => {}
        }
        Ok(())
    }

    /// `send` none is in place.
    pub(super) fn allgather(&mut self, send: Option<&Arg>, recv: &Row) -> Result<()> {
        let far = self.far();
        let blocks = self.row(recv, far.len())?;
        let mine = match send {
            Some(send) => self.bytes(send)?,
            None => blocks[self.me()].clone(),
        };
        if send.is_some() {
            apart(std::slice::from_ref(&mine), &blocks)?;
        }
        for other in self.others(&far) {
            self.recv(far[other], blocks[other].clone());
        }
        for other in self.others(&far) {
            self.send(far[other], mine.clone());
        }
        if !self.is_inter() {
            self.copy_own(mine, blocks[self.me()].clone())?;
        }
        Ok(())
    }

    /// `send` none is in place: what is sent is copied before anything is received.
    pub(super) fn alltoall(&mut self, send: Option<&Row>, recv: &Row) -> Result<()> {
        let far = self.far();
        let blocks = self.row(recv, far.len())?;
        let outgoing = match send {
            Some(send) => self.row(send, far.len())?,
            None => blocks.clone(),
        };
        if send.is_none() {
            for other in self.others(&far) {
                let (from, len) = (outgoing[other].clone(), outgoing[other].len());
                let copy = Bytes::Run { base: self.room(len)?, len };
                self.copy(from, copy.clone());
                self.recv(far[other], blocks[other].clone());
                self.send(far[other], copy);
            }
            return Ok(());
        }
        apart(&outgoing, &blocks)?;
        for other in self.others(&far) {
            self.recv(far[other], blocks[other].clone());
        }
        for other in self.others(&far) {
            self.send(far[other], outgoing[other].clone());
        }
        if !self.is_inter() {
            let me = self.me();
            self.copy_own(outgoing[me].clone(), blocks[me].clone())?;
        }
        Ok(())
    }
}
