//! Client quotas.

use crate::messages::alter_client_quotas_response::{EntityData, EntryData};
use crate::messages::{AlterClientQuotasResponse, DescribeClientQuotasResponse, ResponseKind};

use crate::Request;

pub(super) fn answer(request: &Request, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::DescribeClientQuotas(_) => {
            let response = DescribeClientQuotasResponse::default().with_error_code(code).with_entries(None);
            ResponseKind::DescribeClientQuotas(response)
        }
        Request::AlterClientQuotas(request) => {
            let entries = request.entries.iter().map(|entry| {
                let parts = entry.entity.iter().map(|part| {
                    EntityData::default()
                        .with_entity_type(part.entity_type.clone())
                        .with_entity_name(part.entity_name.clone())
                });
                EntryData::default().with_error_code(code).with_entity(parts.collect())
            });
            let response = AlterClientQuotasResponse::default().with_entries(entries.collect());
            ResponseKind::AlterClientQuotas(response)
        }
        _ => return None,
    })
}
