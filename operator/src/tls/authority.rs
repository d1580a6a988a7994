//! The certificate authority: a key and a self-signed certificate, in memory or read from a Secret.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};

use super::leaf::Leaf;
use super::{TlsError, provider};

/// Pods keep the certificate they were injected with until they restart, so the authority outlives any of them.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A replica renews from memory, so a certificate need not last; a day survives any repair of the operator.
const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Clocks of nodes differ; a certificate that is valid from an hour ago is valid everywhere.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Signs the replicas' certificates.
pub struct Authority {
    cert_pem: String,
    cert: CertificateDer<'static>,
    key_pem: SecretString,
    issuer: Issuer<'static, KeyPair>,
}

// === impl Authority ===

impl Authority {
    /// A new one.
    pub fn generate(now: Timestamp) -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "spillway certificate authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, now, AUTHORITY_LIFE);
        let key = KeyPair::generate().map_err(TlsError::Issue)?;
        let cert = params.self_signed(&key).map_err(TlsError::Issue)?;
        let key_pem = SecretString::from(key.serialize_pem());
        let issuer = Issuer::new(params, key);
        Ok(Self { cert_pem: cert.pem(), cert: cert.der().clone(), key_pem, issuer })
    }

    /// One that was stored before. The key has to be that of the certificate.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let unusable = |what: &str| TlsError::Authority(what.to_owned());
        let cert = CertificateDer::from_pem_slice(cert_pem.as_bytes())
            .map_err(|_| unusable("tls.crt is not a certificate in PEM format"))?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| unusable("tls.key is not a private key in PEM format"))?;
        let signing = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing =
            provider().key_provider.load_private_key(signing).map_err(|_| unusable("tls.key has an unknown type"))?;
        CertifiedKey::new(vec![cert.clone()], signing)
            .keys_match()
            .map_err(|_| unusable("tls.key is not the key of tls.crt"))?;
        let issuer = Issuer::from_ca_cert_der(&cert, key).map_err(|_| unusable("tls.crt does not parse"))?;
        if !issuer.key_usages().contains(&KeyUsagePurpose::KeyCertSign) {
            return Err(unusable("tls.crt may not sign certificates"));
        }
        Ok(Self { cert_pem: cert_pem.to_owned(), cert, key_pem: SecretString::from(key_pem.to_owned()), issuer })
    }

    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    pub(super) fn cert(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// For the Secret, and for nothing else.
    pub(super) fn key_pem(&self) -> &str {
        self.key_pem.expose_secret()
    }

    /// A certificate for these host names and addresses, with a new key.
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<Leaf, TlsError> {
        let mut params = CertificateParams::new(names).map_err(TlsError::Issue)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "spillway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now, LEAF_LIFE);
        let key = KeyPair::generate().map_err(TlsError::Issue)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(TlsError::Issue)?;
        let signing = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = provider().key_provider.load_private_key(signing)?;
        let certified = CertifiedKey::new(vec![cert.der().clone(), self.cert.clone()], signing);
        Ok(Leaf::new(certified, now + LEAF_LIFE * 2 / 3))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

/// Writes validity in the type rcgen uses for it, which is that of a crate we do not otherwise need.
fn validity(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default());
    params.not_before = epoch + since_epoch(now - BACKDATE);
    params.not_after = epoch + since_epoch(now + life);
}
