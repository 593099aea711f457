//! How few pages say nothing.

/// Of less than so many bytes no part is told: a page more or less would make it another.
pub const SMALLEST_WHOLE_BYTES: u64 = 64 << 10;

/// So few pages may be edges of regions, or a build's.
const NOISE_PAGES: u64 = 4;

/// Whether so few pages say nothing.
pub fn is_noise(pages: u64) -> bool {
    pages < NOISE_PAGES
}

/// Which part of these pages that is, from 0 to 1, if they are enough for it to say anything.
pub fn share_of(pages: u64, of: u64, page_size_bytes: u64) -> Option<f64> {
    let is_large = of.saturating_mul(page_size_bytes) >= SMALLEST_WHOLE_BYTES;
    is_large.then(|| pages as f64 / of as f64)
}

/// By which part so many bytes became more, or fewer: −1 of all that became none. `None` where there were so few that a page
/// more would say much, and where nothing changed.
pub fn change_share(base: u64, new: u64) -> Option<f64> {
    let is_large = base >= SMALLEST_WHOLE_BYTES && base != new;
    is_large.then(|| (new as f64 - base as f64) / base as f64)
}
