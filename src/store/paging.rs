//! Pages of listings. Two pages need not be consistent with each other; each is in itself.

use data_encoding::BASE64URL_NOPAD;

use super::failure::StoreError;

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Whence the next page goes on; `None` at the end.
    pub next: Option<String>,
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// The `next` of the page before.
    pub after: Option<String>,
    /// At most so many, 1 to 1,000; 0 is 100.
    pub limit: u32,
}

/// The longest page.
const MOST: u32 = 1_000;
/// The page of whoever names no length.
const USUAL: u32 = 100;

impl Paging {
    /// The length that is meant.
    fn length(&self) -> u32 {
        if self.limit == 0 {
            USUAL
        } else {
            self.limit.min(MOST)
        }
    }

    /// How many rows to ask for: one more than the page has, to see whether it is the last.
    pub(super) fn rows(&self) -> u32 {
        self.length() + 1
    }

    /// The fields of the cursor, if there is one.
    pub(super) fn cursor<const N: usize>(&self) -> Result<Option<[String; N]>, StoreError> {
        let Some(after) = &self.after else {
            return Ok(None);
        };
        BASE64URL_NOPAD
            .decode(after.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| {
                text.split('~')
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                    .try_into()
                    .ok()
            })
            .map(Some)
            .ok_or_else(foreign_cursor)
    }

    /// The page of `rows` items, one of which may be too many. `fields` gives an item's place.
    pub(super) fn page<T, const N: usize>(
        &self,
        mut items: Vec<T>,
        fields: impl Fn(&T) -> [String; N],
    ) -> Page<T> {
        let length = usize::try_from(self.length()).unwrap_or(usize::MAX);
        let more = items.len() > length;
        items.truncate(length);
        let last = if more { items.last() } else { None };
        let next = last.map(|item| BASE64URL_NOPAD.encode(fields(item).join("~").as_bytes()));
        Page { items, next }
    }
}

/// A cursor that no page of this listing gave.
pub(super) fn foreign_cursor() -> StoreError {
    StoreError::Refused("`after` is not a cursor of this listing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let paging = Paging {
            after: None,
            limit: 2,
        };
        let page = paging.page(vec![1, 2, 3], |item| [item.to_string(), "x".to_owned()]);
        assert_eq!(page.items, [1, 2]);
        let paging = Paging {
            after: page.next,
            limit: 2,
        };
        assert_eq!(paging.cursor::<2>().unwrap().unwrap(), ["2", "x"]);
        assert!(paging.cursor::<3>().is_err());
        let last = paging.page(vec![3], |item| [item.to_string()]);
        assert_eq!(last.next, None);
    }

    #[test]
    fn any_text_as_cursor_is_refused_or_read() {
        for text in ["", "~", "%", "AAAA", "////", "\0"] {
            let paging = Paging {
                after: Some(text.to_owned()),
                limit: 0,
            };
            assert!(!matches!(paging.cursor::<3>(), Ok(Some(_))), "{text:?}");
        }
    }
}
