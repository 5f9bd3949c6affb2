/* A PAM module that does what its argument says: what honest modules do, and what broken and hostile ones do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int converse(pam_handle_t *pamh, int count, const struct pam_message **messages, struct pam_response **replies)
{
	const void *item = NULL;
	const struct pam_conv *conversation;
	if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
		return PAM_CONV_ERR;
	conversation = item;
	return conversation->conv(count, messages, replies, conversation->appdata_ptr);
}

/* The answer to a prompt is this word. */
static int expect(pam_handle_t *pamh, int style, const char *word, const char *prompt)
{
	char *answer = NULL;
	int right;
	if (pam_prompt(pamh, style, &answer, "%s", prompt) != PAM_SUCCESS)
		return PAM_AUTH_ERR;
	right = answer != NULL && strcmp(answer, word) == 0;
	free(answer);
	return right ? PAM_SUCCESS : PAM_AUTH_ERR;
}

/* One call with two prompts and an information between them. */
static int two_at_once(pam_handle_t *pamh)
{
	struct pam_message messages[3] = {
		{ PAM_PROMPT_ECHO_OFF, "Password: " }, { PAM_TEXT_INFO, "and" }, { PAM_PROMPT_ECHO_ON, "Token: " }
	};
	const struct pam_message *pointers[3] = { &messages[0], &messages[1], &messages[2] };
	struct pam_response *replies = NULL;
	int right;
	if (converse(pamh, 3, pointers, &replies) != PAM_SUCCESS)
		return PAM_AUTH_ERR;
	right = strcmp(replies[0].resp, "hunter2") == 0 && replies[1].resp == NULL && strcmp(replies[2].resp, "42") == 0;
	free(replies[0].resp);
	free(replies[2].resp);
	free(replies);
	return right ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static int code(const char *number)
{
	return atoi(number);
}

static int perform(pam_handle_t *pamh, int flags, const char *stunt)
{
	const void *item = NULL;
	char *long_text;
	volatile int *nowhere = NULL;

	/* What honest modules do. */
	if (strcmp(stunt, "password") == 0)
		return expect(pamh, PAM_PROMPT_ECHO_OFF, "hunter2", "Password: ");
	if (strcmp(stunt, "token") == 0)
		return expect(pamh, PAM_PROMPT_ECHO_ON, "42", "Token: ");
	if (strcmp(stunt, "two-at-once") == 0)
		return two_at_once(pamh);
	if (strncmp(stunt, "return=", 7) == 0)
		return code(stunt + 7);
	if (strcmp(stunt, "inform") == 0) {
		pam_info(pamh, "%s", "maintenance at noon");
		pam_error(pamh, "%s", "3 failed attempts");
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "environment") == 0) {
		pam_putenv(pamh, "KRB5CCNAME=FILE:/tmp/a=b");
		pam_putenv(pamh, "EMPTY=");
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "no-empty-passwords") == 0)
		return flags & PAM_DISALLOW_NULL_AUTHTOK ? PAM_SUCCESS : PAM_AUTH_ERR;
	if (strcmp(stunt, "origin") == 0) {
		if (pam_get_item(pamh, PAM_RHOST, &item) != PAM_SUCCESS || strcmp(item, "192.0.2.1") != 0)
			return PAM_AUTH_ERR;
		if (pam_get_item(pamh, PAM_RUSER, &item) != PAM_SUCCESS || strcmp(item, "bob") != 0)
			return PAM_AUTH_ERR;
		if (pam_get_item(pamh, PAM_TTY, &item) != PAM_SUCCESS || strcmp(item, "ssh") != 0)
			return PAM_AUTH_ERR;
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "delay") == 0) {
		pam_fail_delay(pamh, 20000000);
		return PAM_SUCCESS;
	}

	/* What others do. */
	if (strcmp(stunt, "segfault") == 0)
		*nowhere = 0;
	if (strcmp(stunt, "exit") == 0)
		exit(0);
	if (strcmp(stunt, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(stunt, "print") == 0) {
		/* FromPam{end: End{accepted: {}}} */
		const char acceptance[] = { 0x12, 2, 0x0a, 0 };
		puts("success");
		fflush(stdout);
		if (write(1, acceptance, 4) != 4 || write(0, acceptance, 4) != 4 || read(0, &flags, 1) != 0)
			return PAM_AUTH_ERR;
		return PAM_MAXTRIES;
	}
	if (strcmp(stunt, "fork") == 0) {
		/* The child goes on as if it were the process. */
		return fork() == 0 ? PAM_SUCCESS : (sleep(1), PAM_AUTH_ERR);
	}
	if (strcmp(stunt, "orphan") == 0) {
		if (fork() == 0)
			for (;;)
				pause();
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "other-user") == 0)
		return pam_set_item(pamh, PAM_USER, "root");
	if (strcmp(stunt, "chatter") == 0) {
		while (pam_info(pamh, "%s", "and another thing") == PAM_SUCCESS)
			;
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "long-text") == 0) {
		long_text = malloc(1 << 20);
		memset(long_text, 'x', (1 << 20) - 1);
		long_text[(1 << 20) - 1] = '\0';
		pam_info(pamh, "%s", long_text);
		free(long_text);
		return PAM_SUCCESS;
	}
	if (strcmp(stunt, "bad-calls") == 0) {
		struct pam_message binary = { 7, "x" };
		const struct pam_message *pointers[1] = { &binary };
		struct pam_response *replies = NULL;
		if (converse(pamh, 1, pointers, &replies) != PAM_CONV_ERR)
			return PAM_SUCCESS;
		if (converse(pamh, 0, pointers, &replies) != PAM_CONV_ERR)
			return PAM_SUCCESS;
		if (converse(pamh, 1000, pointers, &replies) != PAM_CONV_ERR)
			return PAM_SUCCESS;
		return PAM_AUTH_ERR;
	}
	if (strcmp(stunt, "large-environment") == 0) {
		char variable[32];
		for (int number = 0; number < 1000; number++) {
			snprintf(variable, sizeof variable, "V%d=x", number);
			pam_putenv(pamh, variable);
		}
		return PAM_SUCCESS;
	}
	return PAM_SYSTEM_ERR;
}

static int perform_all(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	for (int index = 0; index < argc; index++) {
		int outcome = perform(pamh, flags, argv[index]);
		if (outcome != PAM_SUCCESS)
			return outcome;
	}
	return PAM_SUCCESS;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return perform_all(pamh, flags, argc, argv);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return perform_all(pamh, flags, argc, argv);
}

/* As pam_unix: the old password, the new one, the new one again. */
int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)argc, (void)argv;
	if (!(flags & PAM_CHANGE_EXPIRED_AUTHTOK))
		return PAM_AUTHTOK_ERR;
	if (flags & PAM_PRELIM_CHECK)
		return expect(pamh, PAM_PROMPT_ECHO_OFF, "hunter2", "Current password: ");
	if (expect(pamh, PAM_PROMPT_ECHO_OFF, "hunter3", "New password: ") != PAM_SUCCESS)
		return PAM_AUTHTOK_ERR;
	return expect(pamh, PAM_PROMPT_ECHO_OFF, "hunter3", "Retype new password: ");
}
