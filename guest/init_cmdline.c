// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel command line, read the way the kernel reads it: words end at blanks outside of double
 * quotes, a value's outer quotes are dropped, "--" ends the kernel's part. '-' and '_' are the same
 * in a name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

/* COMMAND_LINE_SIZE of x86 is 2048; room for what other kernels may allow. */
static char line[8192];
static char *words[512];
static int word_count;

static char *cut_word(char **pos)
{
	char *p = *pos, *word;
	bool quoted = false;

	while (*p == ' ' || *p == '\t' || *p == '\n')
		p++;
	if (!*p)
		return NULL;
	word = p;
	for (; *p && (quoted || (*p != ' ' && *p != '\t' && *p != '\n')); p++)
		if (*p == '"')
			quoted = !quoted;
	if (*p)
		*p++ = '\0';
	*pos = p;
	return word;
}

/* Drops the quotes of "NAME=VALUE" and of NAME="VALUE", in place. */
static char *strip_quotes(char *word)
{
	size_t len = strlen(word);
	char *value;

	if (word[0] == '"') {
		word++;
		len--;
		if (len && word[len - 1] == '"')
			word[--len] = '\0';
	}
	value = strchr(word, '=');
	if (value && value[1] == '"') {
		memmove(value + 1, value + 2, strlen(value + 2) + 1);
		len--;
		if (word[len - 1] == '"')
			word[len - 1] = '\0';
	}
	return word;
}

void cmdline_load(void)
{
	char *pos = line, *word;
	ssize_t n;
	int fd;

	fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return;
	while (word_count < (int)(sizeof(words) / sizeof(words[0])) && (word = cut_word(&pos))) {
		if (!strcmp(word, "--"))
			break;
		words[word_count++] = strip_quotes(word);
	}
}

/* Length of the name at the start of @word if it is @name, else 0. */
static size_t match_name(const char *word, const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++)
		if (word[i] != name[i] &&
		    !((word[i] == '-' || word[i] == '_') && (name[i] == '-' || name[i] == '_')))
			return 0;
	return word[i] == '=' || word[i] == '\0' ? i : 0;
}

const char *cmdline_next(const char *name, const char **iter)
{
	size_t len;
	int i = 0;

	/* *iter is the word that was found last. */
	if (*iter) {
		while (i < word_count && words[i] != *iter)
			i++;
		i++;
	}
	for (; i < word_count; i++) {
		len = match_name(words[i], name);
		if (!len)
			continue;
		*iter = words[i];
		return words[i][len] ? words[i] + len + 1 : "";
	}
	return NULL;
}

const char *cmdline_get(const char *name)
{
	const char *iter = NULL, *value, *last = NULL;

	while ((value = cmdline_next(name, &iter)))
		last = value;
	return last;
}

void cmdline_module_params(const char *module, char *buf, size_t size)
{
	size_t len = strlen(module), used = 0;
	char name[128];
	const char *dot;
	int i, n;

	buf[0] = '\0';
	for (i = 0; i < word_count; i++) {
		dot = strchr(words[i], '.');
		if (!dot || (size_t)(dot - words[i]) != len || len >= sizeof(name))
			continue;
		memcpy(name, words[i], len);
		name[len] = '\0';
		if (!match_name(name, module))
			continue;
		n = snprintf(buf + used, size - used, "%s%s", used ? " " : "", dot + 1);
		if (n < 0 || (size_t)n >= size - used) {
			buf[used] = '\0';
			return;
		}
		used += n;
	}
}
