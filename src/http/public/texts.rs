//! What the page says, in every language: one file each, which does not compile while a text is
//! missing or one too many stands in it.

mod de;
mod en;
mod es;
mod fr;
mod it;
mod ja;
mod ko;
mod nl;
mod pl;
mod pt;
mod zh_hans;
mod zh_hant;

/// The texts of one language, as written or as parsed.
macro_rules! texts {
    ($( $(#[$about:meta])+ $name:ident [ $($slot:literal),* ], )+) => {
        /// The texts of one language. `{{stream}}` and `{{sender}}` are filled in where the text
        /// is about them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct Texts<T> {
            $( $(#[$about])+ pub(super) $name: T, )+
        }

        impl<T> Texts<T> {
            /// Every text with its name and the places that may be filled in.
            pub(super) fn map<U, E>(
                &self,
                mut each: impl FnMut(&'static str, &T, &'static [&'static str]) -> Result<U, E>,
            ) -> Result<Texts<U>, E> {
                Ok(Texts {
                    $( $name: each(stringify!($name), &self.$name, &[$($slot),*])?, )+
                })
            }

            /// The text of that name.
            pub(super) fn named(&mut self, name: &str) -> Option<&mut T> {
                match name {
                    $( stringify!($name) => Some(&mut self.$name), )+
                    _ => None,
                }
            }
        }
    };
}

texts! {
    /// Title of the page that asks.
    ask_title[],
    /// What the button will do, if it ends one kind of mail.
    ask_stream["stream", "sender"],
    /// What the button will do, if it ends all marketing mail.
    ask_marketing["sender"],
    /// What the button will do, if the link's key is revoked: somebody looks at it.
    ask_review["sender"],
    /// That nothing has happened yet.
    ask_nothing[],
    /// On the button that unsubscribes.
    ask_button[],
    /// Title of the page that says it is done.
    done_title[],
    /// What was done, if it ended one kind of mail.
    done_stream["stream", "sender"],
    /// What was done, if it ended all marketing mail.
    done_marketing["sender"],
    /// Title of the page that says that somebody will look at it.
    review_title[],
    /// What happens next, if the link's key is revoked.
    review["sender"],
    /// That it can be taken back, and how long.
    undo_hint[],
    /// On the button that takes it back.
    undo_button[],
    /// Title of the page that says it was taken back.
    undone_title[],
    /// What was taken back, and what was not.
    undone[],
    /// Title of the page that says that it cannot be taken back.
    late_title[],
    /// Why not, and that nothing has changed.
    late[],
    /// Title of the page for addresses that do not exist.
    missing_title[],
    /// What the reader can do about it.
    missing[],
    /// Title of the page for requests that mean nothing.
    refused_title[],
    /// That the address cannot be used so.
    refused[],
    /// Title of the page that says that it cannot be done now.
    later_title[],
    /// That nothing has changed, and to try again.
    later[],
}

/// A language with its texts as written.
pub(super) type Written = (&'static str, Texts<&'static str>);

/// All languages by their tags (RFC 4647); the first is for readers of none of them.
pub(super) const ALL: [Written; 12] = [
    ("en", en::TEXTS),
    ("de", de::TEXTS),
    ("es", es::TEXTS),
    ("fr", fr::TEXTS),
    ("it", it::TEXTS),
    ("ja", ja::TEXTS),
    ("ko", ko::TEXTS),
    ("nl", nl::TEXTS),
    ("pl", pl::TEXTS),
    ("pt", pt::TEXTS),
    ("zh-Hans", zh_hans::TEXTS),
    ("zh-Hant", zh_hant::TEXTS),
];
