//! Tenants by name: every call with a key of the installation asks for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::directory::Directory;
use crate::model::tenant::TenantId;

/// The names in the directory that was asked last. Made anew when another one is served.
#[derive(Debug, Default)]
pub(super) struct TenantNames {
    /// Held for a look-up, or for reading a changed directory; never over an await.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Kept, so that no other directory can take its place in memory.
    directory: Option<Arc<Directory>>,
    ids: HashMap<String, TenantId>,
}

impl TenantNames {
    /// The tenant of that name.
    pub(super) fn find(&self, directory: Arc<Directory>, name: &str) -> Option<TenantId> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known
            .directory
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &directory))
        {
            let tenants = directory.tenants.iter();
            known.ids = tenants
                .map(|tenant| (tenant.name.clone(), tenant.id))
                .collect();
            known.directory = Some(directory);
        }
        known.ids.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;
    use crate::model::tenant::Tenant;

    fn directory(names: &[&str]) -> Arc<Directory> {
        let tenant = |(number, name): (u32, &&str)| Tenant {
            id: TenantId::new(number).unwrap(),
            name: (*name).to_owned(),
            domain: None,
            title: None,
        };
        Arc::new(Directory {
            root: Secret::new([0; 32]),
            tenants: (1..).zip(names).map(tenant).collect(),
            streams: Vec::new(),
            signing_keys: Vec::new(),
            mailboxes: Vec::new().into(),
            seq: 1,
        })
    }

    #[test]
    fn names_follow_the_directory() {
        let names = TenantNames::default();
        let before = directory(&["default", "other"]);
        let after = directory(&["default", "renamed"]);
        let second = TenantId::new(2);
        assert_eq!(names.find(Arc::clone(&before), "other"), second);
        assert_eq!(names.find(Arc::clone(&before), "default"), TenantId::new(1));
        assert_eq!(names.find(before, "renamed"), None);
        assert_eq!(names.find(Arc::clone(&after), "renamed"), second);
        assert_eq!(names.find(after, "other"), None);
    }
}
