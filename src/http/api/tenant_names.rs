//! Tenants by name: every call with a key of the installation asks for one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::directory::Directory;
use crate::model::tenant::TenantId;

/// Where tenants were found by their names. What has been found is looked at in the directory that
/// is served now: it changes with every tenant, and a map of ten thousand names must not be made
/// anew for each.
#[derive(Debug, Default)]
pub(super) struct TenantNames {
    /// Held for a look-up; never over an await.
    known: Mutex<Option<HashMap<String, TenantId>>>,
}

impl TenantNames {
    /// The tenant of that name.
    pub(super) fn find(&self, directory: &Directory, name: &str) -> Option<TenantId> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| {
            let tenants = directory.tenants.iter();
            tenants
                .map(|tenant| (tenant.name.clone(), tenant.id))
                .collect()
        });
        let is_named = |id: TenantId| directory.tenant(id).is_some_and(|one| one.name == name);
        if let Some(id) = known.get(name).copied().filter(|id| is_named(*id)) {
            return Some(id);
        }
        let found = directory.tenants.iter().find(|tenant| tenant.name == name);
        match found {
            Some(tenant) => {
                known.insert(name.to_owned(), tenant.id);
                Some(tenant.id)
            }
            None => {
                known.remove(name);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::Domains;
    use crate::model::secret::Secret;
    use crate::model::tenant::Tenant;

    fn directory(names: &[&str]) -> Directory {
        let tenant = |(number, name): (u32, &&str)| Tenant {
            id: TenantId::new(number).unwrap(),
            name: (*name).to_owned(),
            domain: None,
            title: None,
        };
        Directory {
            root: Secret::new([0; 32]),
            tenants: (1..).zip(names).map(tenant).collect(),
            streams: Vec::new(),
            signing_keys: Vec::new(),
            mailboxes: Vec::new().into(),
            domains: Domains::default(),
            seq: 1,
        }
    }

    #[test]
    fn names_follow_the_directory() {
        let names = TenantNames::default();
        let before = directory(&["default", "other"]);
        let after = directory(&["default", "renamed"]);
        let second = TenantId::new(2);
        assert_eq!(names.find(&before, "other"), second);
        assert_eq!(names.find(&before, "default"), TenantId::new(1));
        assert_eq!(names.find(&before, "renamed"), None);
        assert_eq!(names.find(&after, "renamed"), second);
        assert_eq!(names.find(&after, "other"), None);
        // What one node has seen is no more than a hint.
        assert_eq!(names.find(&before, "other"), second);
        assert_eq!(names.find(&after, "renamed"), second);
    }
}
