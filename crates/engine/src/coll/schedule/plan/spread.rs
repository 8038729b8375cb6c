//! Barrier and Bcast.

use super::super::Bytes;
use super::super::build::{Builder, Place};
use super::FEW;
use crate::Result;
use crate::coll::Arg;
use std::ffi::c_int;

impl Builder<'_> {
    /// Few ranks tell each other that they are here; more tell the first, which tells all. On an intercommunicator
    /// each waits for all of the other group.
    pub(super) fn barrier(&mut self) {
        let far = self.far();
        if self.is_inter() || far.len() <= FEW {
            for other in self.others(&far) {
                self.recv(far[other], Bytes::NONE);
            }
            for other in self.others(&far) {
                self.send(far[other], Bytes::NONE);
            }
        } else if self.me() == 0 {
            for other in &far[1..] {
                self.recv(*other, Bytes::NONE);
            }
            self.fence();
            for other in &far[1..] {
                self.send(*other, Bytes::NONE);
            }
        } else {
            self.send(far[0], Bytes::NONE);
            self.recv(far[0], Bytes::NONE);
        }
    }

    /// From the root to each.
    pub(super) fn bcast(&mut self, buffer: &Arg, root: c_int) -> Result<()> {
        let place = self.place(root)?;
        let bytes = self.bytes(buffer)?;
        match place {
            Place::Root => {
                let far = self.far();
                for other in self.others(&far) {
                    self.send(far[other], bytes.clone());
                }
            }
            Place::Leaf(root) => {
                self.recv(root, bytes);
            }
            Place::Outside => {}
        }
        Ok(())
    }
}
