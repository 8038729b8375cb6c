//! A copy past the caches: its lines go to memory, and whoever has old copies of them need not be asked for each
//! before it is written. Slower than [`super::copy`] between cores that share a cache, several times faster
//! between cores that do not (`protocol::pace` finds out which they are).

/// Copies `n` bytes from `src` to `dst`, past the caches. It ends with a fence: what is stored later is seen after
/// it.
///
/// # Safety
/// As for [`super::copy`]; `dst` is aligned to 64 bytes.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_past(dst: *mut u8, src: *const u8, n: usize) {
    use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    let lines = n / 64;
    for line in 0..lines {
        // SAFETY: both lines are inside the `n` bytes that the caller vouches for, and `dst` is aligned.
        unsafe {
            let (from, to) = (src.add(line * 64).cast::<__m128i>(), dst.add(line * 64).cast::<__m128i>());
            let words = [
                _mm_loadu_si128(from),
                _mm_loadu_si128(from.add(1)),
                _mm_loadu_si128(from.add(2)),
                _mm_loadu_si128(from.add(3)),
            ];
            // Whole lines at once, or they are written to memory in pieces.
            _mm_stream_si128(to, words[0]);
            _mm_stream_si128(to.add(1), words[1]);
            _mm_stream_si128(to.add(2), words[2]);
            _mm_stream_si128(to.add(3), words[3]);
        }
    }
    // SAFETY: what is left of the caller's `n` bytes; a fence has no preconditions.
    unsafe {
        super::copy(dst.add(lines * 64), src.add(lines * 64), n % 64);
        _mm_sfence();
    }
}

/// As [`super::copy`], past the caches; `dst` may lie anywhere.
///
/// # Safety
/// As for [`super::copy`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) unsafe fn copy_in_past(dst: *mut u8, src: *const u8, n: usize) {
    let head = dst.align_offset(64).min(n);
    // SAFETY: two parts of the range that the caller vouches for; the second one begins at a line.
    unsafe {
        super::copy(dst, src, head);
        copy_past(dst.add(head), src.add(head), n - head);
    }
}

/// As [`super::copy_out`], past the caches; `dst` may lie anywhere.
///
/// # Safety
/// As for [`super::copy`].
#[cold]
pub(crate) unsafe fn copy_out_past(dst: *mut u8, src: *const u8, n: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let head = dst.align_offset(64).min(n);
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let head = n;
    // SAFETY: two parts of the range that the caller vouches for; the second one begins at a line.
    unsafe {
        super::copy_out(dst, src, head);
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        copy_past(dst.add(head), src.add(head), n - head);
    }
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::{copy_in_past, copy_out_past, copy_past};

    #[test]
    fn every_length_is_copied_whole_and_nothing_beside_it() {
        #[repr(align(64))]
        struct Lines([u8; 1024]);
        let src: Vec<u8> = (0..1100u32).map(|i| (i * 31 + (i >> 8)) as u8).collect();
        for from in [0, 1, 33] {
            for n in (0..300).chain([1000]) {
                let mut dst = Lines([0xa5; 1024]);
                // SAFETY: both are longer than offset plus length and are two allocations; `dst` is aligned.
                unsafe { copy_past(dst.0.as_mut_ptr(), src.as_ptr().add(from), n) };
                assert_eq!(dst.0[..n], src[from..from + n], "{n} bytes from {from}");
                assert!(dst.0[n..].iter().all(|b| *b == 0xa5), "{n}: outside");
            }
        }
    }

    #[test]
    fn a_destination_at_any_address_will_do() {
        let src: Vec<u8> = (0..1100u32).map(|i| (i * 31 + (i >> 8)) as u8).collect();
        for to in [0, 1, 16, 63, 64, 65] {
            for n in (0..200).chain([900]) {
                let mut dst = vec![0xa5u8; 1024];
                // SAFETY: both are longer than offset plus length and are two allocations.
                unsafe { copy_out_past(dst.as_mut_ptr().add(to), src.as_ptr(), n) };
                assert_eq!(dst[to..to + n], src[..n], "{n} bytes to {to}");
                let mut again = vec![0xa5u8; 1024];
                // SAFETY: as above.
                unsafe { copy_in_past(again.as_mut_ptr().add(to), src.as_ptr(), n) };
                assert_eq!(again, dst, "{n} bytes to {to}");
                assert!(dst[..to].iter().chain(&dst[to + n..]).all(|b| *b == 0xa5), "{n} bytes to {to}: outside");
            }
        }
    }
}
