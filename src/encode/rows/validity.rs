//! Which values of a column are null, one bit each; no bits at all until the first null.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

#[derive(Debug, Default)]
pub(super) struct Validity {
    len: usize,
    nulls: usize,
    /// Empty as long as there is no null. Set for a value.
    bits: Vec<u8>,
}

impl Validity {
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn push(&mut self, valid: bool) {
        if !valid || !self.bits.is_empty() {
            self.push_bit(valid);
        }
        self.len += 1;
    }

    fn push_bit(&mut self, valid: bool) {
        if self.bits.is_empty() {
            self.bits.resize(self.len / 8, u8::MAX);
            if !self.len.is_multiple_of(8) {
                self.bits.push((1 << (self.len % 8)) - 1);
            }
        }
        if self.len.is_multiple_of(8) {
            self.bits.push(0);
        }
        self.bits[self.len / 8] |= u8::from(valid) << (self.len % 8);
        self.nulls += usize::from(!valid);
    }

    fn get(&self, at: usize) -> bool {
        self.bits.get(at / 8).is_none_or(|byte| byte >> (at % 8) & 1 == 1)
    }

    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.nulls -= (len..self.len).filter(|&at| !self.get(at)).count();
        self.len = len;
        if self.nulls == 0 {
            self.bits.clear();
            return;
        }
        self.bits.truncate(len.div_ceil(8));
        if !len.is_multiple_of(8)
            && let Some(byte) = self.bits.last_mut()
        {
            *byte &= (1 << (len % 8)) - 1;
        }
    }

    pub fn retain(&mut self, from: usize, keep: &[bool]) {
        let kept: Vec<bool> = keep
            .iter()
            .enumerate()
            .filter(|&(_, &keep)| keep)
            .map(|(at, _)| self.get(from + at))
            .collect();
        self.truncate(from);
        kept.into_iter().for_each(|valid| self.push(valid));
    }

    pub fn bytes(&self) -> usize {
        self.bits.len()
    }

    /// Everything so far; begins anew.
    pub fn take(&mut self) -> Option<NullBuffer> {
        let Self { len, nulls, bits } = std::mem::take(self);
        (nulls > 0).then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, len)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_tells_what_was_pushed(
            first in prop::collection::vec(prop::bool::weighted(0.9), 0..40),
            cut in 0_usize..40,
            second in prop::collection::vec(any::<bool>(), 0..40),
            keep in prop::collection::vec(any::<bool>(), 40),
        ) {
            let mut validity = Validity::default();
            first.iter().for_each(|&valid| validity.push(valid));
            validity.truncate(cut);
            let mut expected = first[..cut.min(first.len())].to_vec();
            second.iter().for_each(|&valid| validity.push(valid));
            let from = expected.len();
            validity.retain(from, &keep[..second.len()]);
            let kept = second.iter().zip(&keep).filter(|&(_, &keep)| keep);
            expected.extend(kept.map(|(&valid, _)| valid));

            prop_assert_eq!(validity.len(), expected.len());
            let nulls = validity.take();
            prop_assert_eq!(nulls.is_some(), expected.contains(&false));
            if let Some(nulls) = nulls {
                prop_assert_eq!(nulls.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
