//! An object in parts.

use std::ops::Range;

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{runtime::Handle, time::timeout};

use super::{Checksums, S3Sink, classify, server_side};
use crate::{fault::Fault, limits, seams::Shipment};

impl S3Sink {
    /// Uploads the body in parts, a few at a time. Every part is tried once; whatever ends the
    /// attempt before its success (a fault, a time limit, a stop) aborts the upload.
    pub(super) async fn upload(&self, shipment: &Shipment) -> Result<(), Fault> {
        let upload = self.begin(shipment).await?;
        let parts: Vec<CompletedPart> =
            stream::iter(parts(shipment.body.len(), limits::PART_BYTES as usize).enumerate())
                .map(|(index, range)| self.part(shipment, &upload.id, index, range))
                .buffered(limits::PARTS_IN_FLIGHT)
                .try_collect()
                .await?;
        self.complete(shipment, &upload.id, parts).await?;
        upload.finish();
        Ok(())
    }

    async fn begin(&self, shipment: &Shipment) -> Result<Upload, Fault> {
        let (encryption, key_id) = server_side(&self.encryption);
        let created = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(&shipment.key)
            .content_type(shipment.content_type)
            .set_content_encoding(shipment.content_encoding.map(Into::into))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .set_checksum_algorithm(self.checksum_algorithm())
            .send()
            .await
            .map_err(|error| classify::fault("CreateMultipartUpload", &error))?;
        let Some(id) = created.upload_id else {
            let message = "CreateMultipartUpload answered without an upload id";
            return Err(Fault::retry("S3.InvalidResponse", message));
        };
        Ok(Upload {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            key: shipment.key.clone(),
            id,
            finished: false,
        })
    }

    async fn part(
        &self,
        shipment: &Shipment,
        upload_id: &str,
        index: usize,
        range: Range<usize>,
    ) -> Result<CompletedPart, Fault> {
        // At most 10,000 parts of 8 MiB: `limits` asserts it for the largest body.
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let mut request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&shipment.key)
            .upload_id(upload_id)
            .part_number(number)
            .set_checksum_algorithm(self.checksum_algorithm())
            .body(ByteStream::from(shipment.body.slice(range)))
            .customize();
        if !self.sign_body {
            request = request.disable_payload_signing();
        }
        let sent = request.send().await.map_err(|error| classify::fault("UploadPart", &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn complete(
        &self,
        shipment: &Shipment,
        upload_id: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<(), Fault> {
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&shipment.key)
            .upload_id(upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await
            .map_err(|error| classify::fault("CompleteMultipartUpload", &error))?;
        Ok(())
    }

    fn checksum_algorithm(&self) -> Option<ChecksumAlgorithm> {
        (self.checksums == Checksums::WhenSupported).then_some(ChecksumAlgorithm::Crc32)
    }
}

/// The ranges of the parts of a body: all of one size except the last.
fn parts(len: usize, part: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(part).map(move |start| start..len.min(start + part))
}

/// An upload that was begun. Dropped before it is finished, it is aborted: parts of unfinished
/// uploads are invisible in the bucket, and paid for.
struct Upload {
    client: Client,
    bucket: String,
    key: String,
    id: String,
    finished: bool,
}

impl Upload {
    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!(bucket = self.bucket, upload_id = self.id, "upload left unfinished");
            return;
        };
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id);
        let (bucket, upload_id) = (self.bucket.clone(), self.id.clone());
        runtime.spawn(async move {
            let error = match timeout(limits::ABORT_TIMEOUT, request.send()).await {
                Ok(Ok(_)) => {
                    tracing::debug!(bucket, upload_id, "unfinished upload aborted");
                    return;
                }
                Ok(Err(error)) => classify::fault("AbortMultipartUpload", &error).to_string(),
                Err(_) => "no answer".to_owned(),
            };
            // The bucket's lifecycle rule for incomplete uploads is the second line.
            tracing::warn!(bucket, upload_id, error, "unfinished upload could not be aborted");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_body_without_gap_or_overlap() {
        for (len, expected) in [
            (1, [(0, 1)].as_slice()),
            (10, &[(0, 10)]),
            (11, &[(0, 10), (10, 11)]),
            (30, &[(0, 10), (10, 20), (20, 30)]),
        ] {
            let ranges: Vec<_> = parts(len, 10).map(|range| (range.start, range.end)).collect();
            assert_eq!(ranges, expected, "{len}");
        }
    }
}
