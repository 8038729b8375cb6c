//! The copy routine for message bytes: every copy between user memory, shared memory and our own
//! buffers goes through [`copy`]. Called by `payload`, `user_buf`, the transport and the collectives.
//!
//! Two routines. From about 1 KiB on the processor's string move (`rep movsb`): it takes a line of the
//! destination over without reading it, and between two processes the lines of the destination are the
//! ones that the other one has just read. Measured on a Zen 5 machine, one process copying into a ring
//! and another one out of it, vector moves against string moves on both sides: 1 KiB 0.52 and 0.38 us,
//! 4 KiB 1.41 and 0.68, 64 KiB in parts 2.8 and 1.3, 1 MiB 26 and 21.7.
//!
//! Below that size, on processors whose string moves start slowly, and where they have a slow case: vector
//! moves, written in assembly so that the compiler cannot turn them back into a call of `memcpy`. The slow
//! case is a destination 1 to 63 bytes ahead of the source modulo 4096, which is where two NumPy arrays of
//! equal size often lie: 20 to 40 times slower on Zen 3, not slow on Zen 5; Intel's documents name it too.
//!
//! Within one process (`cargo run --release --package oxmpi-engine --example copy_speed`, same machine)
//! 32-byte moves reach 130-175 GB/s up to 16 KiB, 75-95 at 64 KiB and 54 at 1 MiB, string moves 110, 90
//! and 55. Tried and left out: 64-byte moves (no gain between processes), prefetching for reading or writing
//! (none either), and non-temporal stores (64 KiB between processes: 3.5-4.3 us).

mod past;

#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) use past::copy_in_past;
use past::copy_out_past;

/// Copies `n` bytes from `src` to `dst`.
///
/// # Safety
/// `src` is valid for reads and `dst` for writes of `n` bytes, and the two do not overlap. Either
/// may be memory that another process can write; no reference to it may exist.
#[inline(always)]
pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller's promise is that of both functions.
    unsafe {
        if n <= 32 {
            upto_32(dst, src, n);
        } else {
            longer::<true>(dst, src, n);
        }
    }
}

/// As [`copy`], from memory that another process has just written to the user's own: there string moves pay on
/// fewer processors.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
pub unsafe fn copy_out(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller's promise is that of both functions.
    unsafe {
        if n <= 32 {
            upto_32(dst, src, n);
        } else {
            longer::<false>(dst, src, n);
        }
    }
}

/// A received message of this size or more goes past the caches to the user's memory: it would push everything else
/// out of them, and its own beginning before its end is there; and lines written through the caches are read
/// from memory first. Ping-pong with two buffers in turn, through and past: 8 MiB 475 and 298 us, 16 MiB 1530 and
/// 730, 64 MiB 2800 and 2350; with one buffer, whose 4 MiB stay in the outer cache of 32 MiB: 4 MiB 165 and 190, 8 MiB
/// 369 and 311.
const LONG: usize = 8 << 20;

/// As [`copy_out`], of a message of `whole` bytes.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
pub unsafe fn copy_out_part(dst: *mut u8, src: *const u8, n: usize, whole: usize) {
    // SAFETY: the caller's promise is that of all three functions.
    unsafe {
        if n <= 32 {
            upto_32(dst, src, n);
        } else if whole >= LONG {
            copy_out_past(dst, src, n);
        } else {
            longer::<false>(dst, src, n);
        }
    }
}

/// Moves one `T` from `src` to `dst`, at any alignment.
///
/// # Safety
/// As for [`copy`], for the size of `T`.
#[inline(always)]
pub(crate) unsafe fn move_one<T: Copy>(dst: *mut u8, src: *const u8) {
    // SAFETY: the caller's promise; the types that this is used with have no invalid bit patterns.
    unsafe { dst.cast::<T>().write_unaligned(src.cast::<T>().read_unaligned()) }
}

/// The first and the last `T` of `n` bytes, which together cover them; both are read before either
/// is written, so that a length of one `T` needs no case of its own.
///
/// # Safety
/// As for [`copy`]; `n` is between one and two sizes of `T`.
#[inline(always)]
unsafe fn both_ends<T: Copy>(dst: *mut u8, src: *const u8, n: usize) {
    let last = n - size_of::<T>();
    // SAFETY: both pieces lie inside the `n` bytes that the caller vouches for.
    unsafe {
        let head = src.cast::<T>().read_unaligned();
        let tail = src.add(last).cast::<T>().read_unaligned();
        dst.cast::<T>().write_unaligned(head);
        dst.add(last).cast::<T>().write_unaligned(tail);
    }
}

/// # Safety
/// As for [`copy`]; `n` is at most 32.
#[inline(always)]
unsafe fn upto_32(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller's promise; each branch covers exactly the lengths it is chosen for.
    unsafe {
        if n >= 16 {
            both_ends::<Block>(dst, src, n);
        } else if n >= 8 {
            both_ends::<u64>(dst, src, n);
        } else if n >= 4 {
            both_ends::<u32>(dst, src, n);
        } else if n >= 2 {
            both_ends::<u16>(dst, src, n);
        } else if n == 1 {
            move_one::<u8>(dst, src);
        }
    }
}

#[cfg(target_arch = "x86_64")]
type Block = core::arch::x86_64::__m128i;
#[cfg(not(target_arch = "x86_64"))]
type Block = u128;

#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn longer<const IN: bool>(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller promises what `copy` asks for; `n` is more than 32, and each routine is
    // called for the lengths that it names.
    unsafe {
        if n <= 64 {
            both_ends::<[Block; 2]>(dst, src, n);
        } else if n <= 128 {
            both_ends::<[Block; 4]>(dst, src, n);
        } else if n >= STRING_MIN && string_move_pays::<IN>(dst, src, n) {
            with_string_move(dst, src, n);
        } else if std::arch::is_x86_feature_detected!("avx") {
            with_avx(dst, src, n);
        } else {
            with_sse2(dst, src, n);
        }
    }
}

/// Below this size a string move does not pay on any processor.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const STRING_MIN: usize = 1 << 10;
/// The same where short string moves are not fast (no FSRM): starting one takes some 100 ns there.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const STRING_MIN_SLOW_START: usize = 4 << 10;

/// What is known of the processor's string moves.
#[cfg(all(target_arch = "x86_64", not(miri)))]
struct StringMoves {
    /// They pay from this size on.
    from: usize,
    /// The same for copying out of shared memory.
    from_out: usize,
    /// They are slow if the destination is just ahead of the source modulo a page.
    slow_ahead: bool,
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
static STRING_MOVES: std::sync::LazyLock<StringMoves> = std::sync::LazyLock::new(|| {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    let vendor = __cpuid(0);
    let features = if vendor.eax >= 7 {
        __cpuid_count(7, 0)
    } else {
        return StringMoves { from: usize::MAX, from_out: usize::MAX, slow_ahead: true };
    };
    let (enhanced, short) = (features.ebx >> 9 & 1 == 1, features.edx >> 4 & 1 == 1);
    let version = __cpuid(1).eax;
    let family = (version >> 8 & 0xf) + (version >> 20 & 0xff);
    let amd = vendor.ebx == u32::from_le_bytes(*b"Auth");
    let from = match (enhanced, short) {
        (_, true) => STRING_MIN,
        (true, false) => STRING_MIN_SLOW_START,
        (false, false) => usize::MAX,
    };
    // Family 26 is Zen 5. Before it (Zen 4), a ring of 2 MiB and a writer with string moves: the reader takes for 1 MiB
    // 34.7 us with string moves and 32.1 with vector moves, for 256 KiB 8.4 and 8.0.
    let older = amd && family < 26;
    StringMoves { from, from_out: if older { usize::MAX } else { from }, slow_ahead: !amd || older }
});

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn string_move_pays<const IN: bool>(dst: *const u8, src: *const u8, n: usize) -> bool {
    let moves = &*STRING_MOVES;
    n >= if IN { moves.from } else { moves.from_out } && !string_move_is_slow(dst.addr(), src.addr())
}

/// Whether a string move from `src` to `dst` (the kernel's copies are such) falls into the slow case.
pub(crate) fn string_move_is_slow(dst: usize, src: usize) -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        STRING_MOVES.slow_ahead && (1..64).contains(&(dst.wrapping_sub(src) & 4095))
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        let _ = (dst, src);
        false
    }
}

/// One string move.
///
/// # Safety
/// As for [`copy`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn with_string_move(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: reads and writes `n` bytes, for which the caller vouches; the direction flag is clear, as the
    // calling convention demands.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rcx") n => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Elsewhere the C library's routine is made of vector moves and is as good as one of our own.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn longer<const IN: bool>(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller promises what `copy` asks for.
    unsafe { core::ptr::copy_nonoverlapping(src, dst, n) }
}

/// Blocks of 256 bytes by 32-byte moves, stores aligned; then the last 256 bytes once more.
///
/// # Safety
/// As for [`copy`]; `n` is more than 128 and the processor has AVX.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn with_avx(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: every access lies in [0, n). Up to 256 bytes: the first and the last 128. More: the head
    // takes 32 bytes, the loop runs while more than 256 are left, and the tail takes the last 256, which
    // begin in what was copied already. The registers that are changed are named.
    unsafe {
        core::arch::asm!(
            "lea r8, [rsi + rcx]",
            "lea r9, [rdi + rcx]",
            "cmp rcx, 256",
            "jbe 4f",
            "vmovdqu ymm0, [rsi]",
            "vmovdqu [rdi], ymm0",
            "mov rax, rdi",
            "and rax, 31",
            "sub rax, 32",
            "sub rdi, rax",
            "sub rsi, rax",
            "add rcx, rax",
            "cmp rcx, 256",
            "jbe 3f",
            ".p2align 5",
            "2:",
            "vmovdqu ymm0, [rsi]",
            "vmovdqu ymm1, [rsi + 32]",
            "vmovdqu ymm2, [rsi + 64]",
            "vmovdqu ymm3, [rsi + 96]",
            "vmovdqu ymm4, [rsi + 128]",
            "vmovdqu ymm5, [rsi + 160]",
            "vmovdqu ymm6, [rsi + 192]",
            "vmovdqu ymm7, [rsi + 224]",
            "vmovdqa [rdi], ymm0",
            "vmovdqa [rdi + 32], ymm1",
            "vmovdqa [rdi + 64], ymm2",
            "vmovdqa [rdi + 96], ymm3",
            "vmovdqa [rdi + 128], ymm4",
            "vmovdqa [rdi + 160], ymm5",
            "vmovdqa [rdi + 192], ymm6",
            "vmovdqa [rdi + 224], ymm7",
            "add rsi, 256",
            "add rdi, 256",
            "sub rcx, 256",
            "cmp rcx, 256",
            "ja 2b",
            "3:",
            "lea rsi, [r8 - 256]",
            "lea rdi, [r9 - 256]",
            "4:",
            "vmovdqu ymm0, [rsi]",
            "vmovdqu ymm1, [rsi + 32]",
            "vmovdqu ymm2, [rsi + 64]",
            "vmovdqu ymm3, [rsi + 96]",
            "vmovdqu ymm4, [r8 - 128]",
            "vmovdqu ymm5, [r8 - 96]",
            "vmovdqu ymm6, [r8 - 64]",
            "vmovdqu ymm7, [r8 - 32]",
            "vmovdqu [rdi], ymm0",
            "vmovdqu [rdi + 32], ymm1",
            "vmovdqu [rdi + 64], ymm2",
            "vmovdqu [rdi + 96], ymm3",
            "vmovdqu [r9 - 128], ymm4",
            "vmovdqu [r9 - 96], ymm5",
            "vmovdqu [r9 - 64], ymm6",
            "vmovdqu [r9 - 32], ymm7",
            "vzeroupper",
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rcx") n => _,
            out("rax") _,
            out("r8") _,
            out("r9") _,
            // `vzeroupper` touches the upper halves of all of them.
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack),
        );
    }
}

/// The same by 16-byte moves, in blocks of 64 bytes.
///
/// # Safety
/// As for [`copy`]; `n` is more than 128.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn with_sse2(dst: *mut u8, src: *const u8, n: usize) {
    // SAFETY: every access lies in [0, n): the head takes 16 bytes of more than 128, the loop runs while
    // more than 64 are left, and the tail takes the last 64, which begin in what was copied already. The
    // registers that are changed are named.
    unsafe {
        core::arch::asm!(
            "movdqu xmm0, [rsi]",
            "movdqu [rdi], xmm0",
            "lea r8, [rsi + rcx]",
            "lea r9, [rdi + rcx]",
            "mov rax, rdi",
            "and rax, 15",
            "sub rax, 16",
            "sub rdi, rax",
            "sub rsi, rax",
            "add rcx, rax",
            "cmp rcx, 64",
            "jbe 3f",
            ".p2align 5",
            "2:",
            "movdqu xmm0, [rsi]",
            "movdqu xmm1, [rsi + 16]",
            "movdqu xmm2, [rsi + 32]",
            "movdqu xmm3, [rsi + 48]",
            "movdqa [rdi], xmm0",
            "movdqa [rdi + 16], xmm1",
            "movdqa [rdi + 32], xmm2",
            "movdqa [rdi + 48], xmm3",
            "add rsi, 64",
            "add rdi, 64",
            "sub rcx, 64",
            "cmp rcx, 64",
            "ja 2b",
            "3:",
            "movdqu xmm0, [r8 - 64]",
            "movdqu xmm1, [r8 - 48]",
            "movdqu xmm2, [r8 - 32]",
            "movdqu xmm3, [r8 - 16]",
            "movdqu [r9 - 64], xmm0",
            "movdqu [r9 - 48], xmm1",
            "movdqu [r9 - 32], xmm2",
            "movdqu [r9 - 16], xmm3",
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rcx") n => _,
            out("rax") _,
            out("r8") _,
            out("r9") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Routine = unsafe fn(*mut u8, *const u8, usize);

    fn check(routine: Routine, lengths: &(impl Iterator<Item = usize> + Clone)) {
        let bytes: Vec<u8> = (0..6000u32).map(|i| (i * 31 + (i >> 8)) as u8).collect();
        for from in [0, 1, 15, 31, 33] {
            for to in [0, 1, 7, 16, 31] {
                for n in lengths.clone() {
                    // Ends where its memory ends, for valgrind to see an access beyond.
                    let src = bytes[..from + n].to_vec();
                    for beyond in [0, 80] {
                        let mut dst = vec![0xa5u8; to + n + beyond];
                        // SAFETY: both vectors are as long as offset plus length and are two allocations.
                        unsafe { routine(dst.as_mut_ptr().add(to), src.as_ptr().add(from), n) };
                        assert_eq!(&dst[to..to + n], &src[from..], "{n} bytes from {from} to {to}");
                        let outside = dst[..to].iter().chain(&dst[to + n..]).all(|b| *b == 0xa5);
                        assert!(outside, "{n}, {from}, {to}: outside");
                    }
                }
            }
        }
    }

    fn any(dst: *mut u8, src: *const u8, n: usize) {
        // SAFETY: `check` passes valid ranges.
        unsafe { copy(dst, src, n) }
    }

    #[test]
    fn every_length_is_copied_whole_and_nothing_beside_it() {
        let lengths = if cfg!(miri) { 70 } else { 700 };
        check(any, &(0..lengths).chain([1023, 1024, 4096, 5000]));
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn the_string_move_copies_the_same() {
        check(with_string_move, &(1..300).chain([4096, 5001]));
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn the_vector_routine_copies_the_same_where_string_moves_are_slow() {
        if std::arch::is_x86_feature_detected!("avx") {
            check(with_avx, &(129..600).chain([4096, 5001]));
        }
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn the_routine_for_processors_without_avx_copies_the_same() {
        check(with_sse2, &(129..600).chain([4096, 5001]));
    }
}
