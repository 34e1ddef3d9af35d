//! Values in `postcard`'s form, behind bytes that are there: of plans and of the journal.

use postcard::ser_flavors::Flavor;
use serde::{Serialize, Serializer};

/// Appends bytes.
struct Appended<'v>(&'v mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Writes a value behind bytes. It must be one whose form cannot fail, as that of numbers,
/// texts, options, enumerations, and lists of known length.
pub(crate) fn append(form: &impl Serialize, to: &mut Vec<u8>) {
    let written = postcard::serialize_with_flavor(form, Appended(to));
    debug_assert_eq!(written, Ok(()), "a form that can fail is not for here");
}

/// Writes a list of values: how many there are, and then each. It is the form of a `Vec` of
/// them.
pub(crate) fn append_all<F: Serialize>(
    mut forms: impl ExactSizeIterator<Item = F>,
    to: &mut Vec<u8>,
) -> postcard::Result<()> {
    append(&forms.len(), to);
    forms.try_for_each(|form| postcard::serialize_with_flavor(&form, Appended(to)))
}

/// Bytes all at once instead of one by one, which gives the same.
pub(crate) fn in_one<S: Serializer>(bytes: &&[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Serialize)]
    struct InOne<'b>(#[serde(serialize_with = "in_one")] &'b [u8]);

    proptest! {
        #[test]
        fn what_is_appended_is_what_a_list_is_written_as(
            lists in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..300),
        ) {
            let mut bytes = vec![7];
            append_all(lists.iter().map(|list| InOne(list)), &mut bytes).unwrap();
            prop_assert_eq!(&bytes[1..], postcard::to_allocvec(&lists).unwrap());
        }
    }
}
