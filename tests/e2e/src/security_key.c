/*
 * A security key in software, for ssh-keygen(1) and ssh(1): the library that SecurityKeyProvider
 * names (OpenSSH's sk-api.h, PROTOCOL.u2f). It says of each signature what the key was made with:
 * touched unless "no-touch-required", and its user verified if "verify-required". The key handle,
 * which a device would have sealed, is the private key as it is.
 */

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* sk-api.h */
#define VERSION 0x000a0000
#define ECDSA 0
#define PRESENT 0x01
#define VERIFIED 0x04
#define ERROR (-1)

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

uint32_t
sk_api_version(void)
{
	return VERSION;
}

int
sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, void **options, struct sk_enroll_response **out)
{
	struct sk_enroll_response *key = calloc(1, sizeof(*key));
	EVP_PKEY *pair = alg == ECDSA ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int length = pair == NULL ? 0 : i2d_PrivateKey(pair, &key->key_handle);

	(void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
	if (length <= 0)
		return ERROR;
	key->flags = flags;
	key->key_handle_len = length;
	if (alg == ECDSA) {
		key->public_key_len = EVP_PKEY_get1_encoded_public_key(pair, &key->public_key);
	} else {
		key->public_key_len = 32;
		key->public_key = calloc(1, 32);
		if (EVP_PKEY_get_raw_public_key(pair, key->public_key, &key->public_key_len) != 1)
			return ERROR;
	}
	/* An attestation, which nobody looks at. */
	key->signature = calloc(1, 1);
	key->signature_len = 1;
	EVP_PKEY_free(pair);
	*out = key;
	return 0;
}

/* The number in its shortest form. */
static size_t
number(const BIGNUM *from, uint8_t **to)
{
	*to = calloc(1, BN_num_bytes(from));
	return BN_bn2bin(from, *to);
}

int
sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin, void **options,
    struct sk_sign_response **out)
{
	struct sk_sign_response *response = calloc(1, sizeof(*response));
	EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &key_handle, key_handle_len);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t message[32 + 1 + 4 + 32] = { 0 }, signature[256];
	size_t length = sizeof(signature);

	(void)pin, (void)options;
	response->flags = flags & (PRESENT | VERIFIED);
	response->counter = 7;
	SHA256((const uint8_t *)application, strlen(application), message);
	message[32] = response->flags;
	message[36] = response->counter;
	SHA256(data, data_len, message + 37);
	if (pair == NULL ||
	    EVP_DigestSignInit(context, NULL, alg == ECDSA ? EVP_sha256() : NULL, NULL, pair) != 1 ||
	    EVP_DigestSign(context, signature, &length, message, sizeof(message)) != 1)
		return ERROR;
	if (alg == ECDSA) {
		const uint8_t *der = signature;
		ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, length);

		response->sig_r_len = number(ECDSA_SIG_get0_r(numbers), &response->sig_r);
		response->sig_s_len = number(ECDSA_SIG_get0_s(numbers), &response->sig_s);
		ECDSA_SIG_free(numbers);
	} else {
		response->sig_r = calloc(1, length);
		response->sig_r_len = length;
		memcpy(response->sig_r, signature, length);
	}
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pair);
	*out = response;
	return 0;
}

int
sk_load_resident_keys(const char *pin, void **options, void ***keys, size_t *count)
{
	(void)pin, (void)options;
	*keys = NULL;
	*count = 0;
	return 0;
}
