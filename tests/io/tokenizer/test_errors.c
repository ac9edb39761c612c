// tokenizer.h: a tokenizer.json that is damaged, or holds what is not known here, is refused with one line
// that names the file and the part; it is never ignored in part.
#include "io/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// A small valid file with something of every part. ' stands for ".
static const char valid[] =
    "{'version':'1.0','truncation':null,'padding':null,"
    "'added_tokens':[{'id':0,'content':'<s>','single_word':false,'lstrip':false,'rstrip':false,"
    "'normalized':false,'special':true},"
    "{'id':6,'content':'new','single_word':false,'lstrip':true,'rstrip':true,'normalized':true,'special':"
    "false}],"
    "'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},"
    "{'type':'Replace','pattern':{'String':' '},'content':'\xe2\x96\x81'}]},"
    "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':'a+|b'},"
    "'behavior':'Isolated','invert':false},{'type':'Metaspace','replacement':'\xe2\x96\x81',"
    "'prepend_scheme':'never','split':true}]},"
    "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<s>','type_id':0}},"
    "{'Sequence':{'id':'A','type_id':0}}],'pair':[],"
    "'special_tokens':{'<s>':{'id':'<s>','ids':[0],'tokens':['<s>']}}},"
    "'decoder':null,"
    "'model':{'type':'BPE','dropout':null,'unk_token':'<s>','continuing_subword_prefix':null,"
    "'end_of_word_suffix':'','fuse_unk':false,'byte_fallback':false,'ignore_merges':false,"
    "'vocab':{'<s>':0,'a':1,'b':2,'\xe2\x96\x81':3,'ab':4,'\xe2\x96\x81"
    "ab':5},"
    "'merges':['a b',['\xe2\x96\x81','ab']]}}";

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = temporary_folder_create();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    temporary_folder_remove(folder);
    return 0;
}

// Loads the first `size` bytes of json, whose ' are made ".
static enum status load_text(const char *json, size_t size, struct tokenizer **tokenizer, struct error *err)
{
    char *text = malloc(size + 1);
    enum status status;

    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = json[i];
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\'')
            text[i] = '"';
    *err = (struct error){0};
    status = tokenizer_load(tokenizer, write_file(folder, "tokenizer.json", text, size), err);
    free(text);
    return status;
}

// The valid file with `old` replaced by `new`; the caller frees it.
static char *changed(const char *old, const char *new)
{
    const char *at = strstr(valid, old);
    const size_t size = strlen(valid) - strlen(old) + strlen(new);
    char *text = malloc(size + 1);

    if (at == NULL)
        fail_msg("not in the valid file: %s", old);
    assert_non_null(text);
    snprintf(text, size + 1, "%.*s%s%s", (int)(at - valid), valid, new, at + strlen(old));
    return text;
}

static void the_valid_file_loads(void **state)
{
    struct tokenizer *tokenizer = NULL;
    struct error err;
    int32_t *ids = NULL;
    size_t count = 0;
    const int32_t expected[] = {0, 3, 1, 2,
                                6, 3, 1}; // <s>, space, a, b, new, space, a: nothing merges across a cut

    (void)state;
    assert_ok(load_text(valid, strlen(valid), &tokenizer, &err), err);
    assert_int_equal(tokenizer_vocabulary_size(tokenizer), 7);
    assert_ok(tokenizer_encode(tokenizer, " abnew a", 8, true, &ids, &count, &err), err);
    assert_int_equal(count, sizeof expected / sizeof expected[0]);
    assert_memory_equal(ids, expected, sizeof expected);
    free(ids);
    tokenizer_free(tokenizer);
    tokenizer_free(NULL);
}

static void every_truncated_prefix_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < strlen(valid); size++) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        assert_int_equal(load_text(valid, size, &tokenizer, &err), STATUS_INPUT);
        assert_error(err, STATUS_INPUT, "tokenizer.json: ");
        assert_null(tokenizer);
    }
}

// Whatever one byte becomes, the file is loaded or refused; the sanitizers watch.
static void no_single_byte_breaks_the_reader(void **state)
{
    static const char bytes[] = {'"', '0', ',', '}', ']', '\0', (char)0xff, 'z'};
    const size_t size = strlen(valid);
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < size; i += 2) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        enum status status;
        memcpy(text, valid, size);
        text[i] = bytes[i / 2 % sizeof bytes];
        status = load_text(text, size, &tokenizer, &err);
        assert_true(status == STATUS_OK || status == STATUS_INPUT);
        if (status == STATUS_INPUT)
            assert_error(err, STATUS_INPUT, "tokenizer.json: ");
        tokenizer_free(tokenizer);
    }
    free(text);
}

static void what_is_wrong_or_unknown_is_named(void **state)
{
    static const struct {
        const char *old;
        const char *new;
        const char *message; // after "tokenizer.json: "
    } cases[] = {
        // the file as a whole
        {"'version':'1.0'", "'version':'2.0'", "unknown version \"2.0\""},
        {"'version':'1.0'", "'versoin':'1.0'", "unknown member \"versoin\""},
        {"'version':'1.0'", "'version':1", "\"version\" must be a string, is a number"},
        {"'padding':null", "'padding':{'strategy':'BatchLongest'}", ""}, // as in transformers
        {"'truncation':null", "'truncation':{'max_length':8}", ""},
        {"'decoder':null", "'padding':null", "a key stands twice in one object, near"},
        // model
        {"'type':'BPE'", "'type':'WordLevel'",
         "model: type \"WordLevel\" is not supported, only BPE, Unigram and WordPiece are"},
        {"'type':'BPE'", "'type':'Unigram'", "model: unknown member \"dropout\""},
        {"'type':'BPE'", "'type':'WordPiece'", "model: unknown member \"dropout\""},
        {"'dropout':null", "'dropout':0.0", ""}, // none
        {"'dropout':null", "'dropout':0.1", "model: dropout is not supported"},
        {"'continuing_subword_prefix':null", "'continuing_subword_prefix':'##'",
         "model: continuing_subword_prefix \"##\" is not supported"},
        {"'end_of_word_suffix':''", "'end_of_word_suffix':'</w>'", ""}, // whose words end otherwise
        {"'fuse_unk':false", "'fuse_unk':'no'", "model: \"fuse_unk\" must be true or false, is a string"},
        {"'ignore_merges':false", "'ignore_merge':false", "model: unknown member \"ignore_merge\""},
        {"'model':{", "'model':[],'x':{", "unknown member \"x\""},
        // vocabulary
        {"'a':1", "'a':'1'", "model: vocab: the id of \"a\" must be an integer, is a string"},
        {"'a':1", "'a':-1", "model: vocab: the id of \"a\" must be from 0 to 2147483646, is -1"},
        {"'a':1", "'a':2147483647", "model: vocab: the id of \"a\" must be from 0 to 2147483646"},
        {"'a':1", "'a':1.5", "model: vocab: the id of \"a\" must be an integer"},
        {"'a':1,'b':2", "'a':2,'b':2", "have the same id 2"},
        {"'a':1,'b':2", "'a':1,'a':2", "a key stands twice in one object, near"},
        {"'vocab':{", "'vocab':[],'vocabulary':{", "model: unknown member \"vocabulary\""},
        // merges
        {"'a b'", "'a c'", "model: merges: [0]: \"c\" is not in the vocabulary"},
        {"'a b'", "'b a'", "model: merges: [0]: \"ba\" is not in the vocabulary"},
        {"'a b'", "'a b c'", "model: merges: [0]: \"a b c\" must be two tokens with one space between"},
        {"'a b'", "'ab'", "model: merges: [0]: \"ab\" must be two tokens"},
        {"'a b'", "' b'", "model: merges: [0]: one side is empty"},
        {"'a b'", "7", "model: merges: [0]: must be a string or a pair of strings"},
        {"['\xe2\x96\x81','ab']", "['a','b','c']", "model: merges: [1]: must be a string or a pair"},
        {"'merges':[", "'merges':{},'x':[", "model: unknown member \"x\""},
        // added tokens
        {"'id':6", "'id':7",
         "added_tokens: [1]: \"new\" has the id 7 here, but its place in the vocabulary is 6"},
        {"'id':0,'content':'<s>'", "'id':1,'content':'<s>'", "added_tokens: [0]: \"<s>\" has the id 1"},
        {"'content':'new'", "'content':''", "added_tokens: [1]: \"content\" is empty"},
        {"'content':'new','single_word':false", "'content':'new'",
         "added_tokens: [1]: \"single_word\" must be true or false, is nothing"},
        {"'lstrip':true", "'left':true", "added_tokens: [1]: unknown member \"left\""},
        {"{'id':6,'content':'new','single_word':false,'lstrip':true,'rstrip':true,'normalized':true",
         "{'id':0,'content':'<s>','single_word':false,'lstrip':true,'rstrip':true,'normalized':false",
         "added_tokens: [1]: \"<s>\" is there twice"},
        {"'content':'new'", "'content':'n\\new'", ""}, // valid: a token may hold anything
        {"'id':6,'content':'new'", "'id':9,'content':'n\\new'",
         "\"n?ew\" has the id 9"}, // the message is one line
        // normalizer
        {"'type':'NFC'", "'type':'Nfc'", "normalizer: normalizers[0]: unknown type \"Nfc\""},
        {"'type':'NFC'", "'type':'NFC','x':1", "normalizer: normalizers[0]: NFC: unknown member \"x\""},
        {"{'type':'NFC'}", "'NFC'", "normalizer: normalizers[0]: must be an object, is a string"},
        {"{'type':'NFC'}", "{}", "normalizer: normalizers[0]: \"type\" must be a string, is nothing"},
        {"{'String':' '}", "{'String':''}", "Replace: \"pattern\": the pattern is an empty string"},
        {"{'String':' '}", "{'Glob':' '}", "Replace: \"pattern\": unknown member \"Glob\""},
        {"{'String':' '}", "{}", "\"pattern\": must have either \"String\" or \"Regex\""},
        {"'content':'\xe2\x96\x81'}", "'content':null}", "Replace: \"content\" must be a string, is null"},
        // pre-tokenizer
        {"'type':'Split'", "'type':'UnicodeScripts'",
         "pre_tokenizer: pretokenizers[0]: unknown type \"UnicodeScripts\""},
        {"'Isolated'", "'Alone'", "pretokenizers[0]: Split: unknown behavior \"Alone\""},
        {"'behavior':'Isolated',", "", "pretokenizers[0]: Split: no \"behavior\""},
        {"'invert':false", "'invert':0", "Split: \"invert\" must be true or false, is a number"},
        {"'a+|b'", "'a+|(b'", "\"pattern\": bad regular expression: missing closing parenthesis"},
        {"'a+|b'", "'\\\\b'", "regular expression: this escape is not supported, at byte 0"},
        {"'prepend_scheme':'never'", "'prepend_scheme':'sometimes'", "unknown prepend_scheme \"sometimes\""},
        {"'prepend_scheme':'never'", "'prepend_scheme':'first','add_prefix_space':false",
         "add_prefix_space false contradicts prepend_scheme \"first\""},
        {"'replacement':'\xe2\x96\x81'", "'replacement':'__'",
         "\"replacement\" must be one character, is \"__\""},
        // post-processor
        {"'TemplateProcessing'", "'PairProcessing'", "post_processor: unknown type \"PairProcessing\""},
        {"'SpecialToken':{'id':'<s>'", "'SpecialToken':{'id':'<t>'",
         "post_processor: TemplateProcessing: single[0]: \"<t>\" is not in special_tokens"},
        {"'id':'A'", "'id':'B'", "single[1]: Sequence \"B\" in the template of a single text must be \"A\""},
        {"'ids':[0]", "'ids':['0']", "the id of <s> must be an integer, is a string"},
        {"'ids':[0]", "'ids':[7]", "post_processor: the special token's id 7 is not in the vocabulary"},
        {"'ids':[0]", "'ids':0", "\"ids\" must be an array, is a number"},
        {"'ids':[0]", "'ids':[0],'x':1", "special_tokens: \"<s>\": unknown member \"x\""},
        {"{'Sequence':{'id':'A','type_id':0}}", "{'Sequence':{'id':'A','type_id':0,'x':1}}",
         "single[1]: unknown member \"x\""},
        {"{'Sequence':{'id':'A','type_id':0}}", "{'Text':{'id':'A','type_id':0}}",
         "single[1]: unknown member \"Text\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        char *text = changed(cases[i].old, cases[i].new);
        const enum status status = load_text(text, strlen(text), &tokenizer, &err);

        if (cases[i].message[0] == '\0') {
            assert_int_equal(status, STATUS_OK);
            tokenizer_free(tokenizer);
        } else {
            assert_int_equal(status, STATUS_INPUT);
            assert_error(err, STATUS_INPUT, "tokenizer.json: ");
            assert_error(err, STATUS_INPUT, cases[i].message);
            assert_null(tokenizer);
        }
        free(text);
    }
}

// One value of every kind that is read, with all its members; each is refused when there is one more.
static void no_member_is_ignored_anywhere(void **state)
{
    static const struct {
        const char *section;
        const char *value;
    } cases[] = {
        {"normalizer", "{'type':'Sequence','normalizers':[]}"},
        {"normalizer", "{'type':'Prepend','prepend':'_'}"},
        {"normalizer", "{'type':'Replace','pattern':{'String':'x'},'content':'y'}"},
        {"normalizer", "{'type':'NFC'}"},
        {"normalizer", "{'type':'NFD'}"},
        {"normalizer", "{'type':'NFKC'}"},
        {"normalizer", "{'type':'NFKD'}"},
        {"normalizer", "{'type':'Lowercase'}"},
        {"normalizer", "{'type':'Strip','strip_left':true,'strip_right':false}"},
        {"normalizer", "{'type':'StripAccents'}"},
        {"normalizer", "{'type':'Nmt'}"},
        {"normalizer", "{'type':'ByteLevel'}"},
        {"normalizer", "{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,"
                       "'strip_accents':null,'lowercase':true}"},
        {"normalizer", "{'type':'Precompiled','precompiled_charsmap':'BAAAAAAAAAA='}"},
        {"pre_tokenizer", "{'type':'Sequence','pretokenizers':[]}"},
        {"pre_tokenizer",
         "{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':true}"},
        {"pre_tokenizer",
         "{'type':'Split','pattern':{'Regex':'x'},'behavior':'MergedWithNext','invert':true}"},
        {"pre_tokenizer", "{'type':'Metaspace','replacement':'_','prepend_scheme':'first','split':false}"},
        {"pre_tokenizer", "{'type':'Digits','individual_digits':true}"},
        {"pre_tokenizer", "{'type':'Punctuation','behavior':'Contiguous'}"},
        {"pre_tokenizer", "{'type':'Whitespace'}"},
        {"pre_tokenizer", "{'type':'WhitespaceSplit'}"},
        {"pre_tokenizer", "{'type':'CharDelimiterSplit','delimiter':'-'}"},
        {"pre_tokenizer", "{'type':'BertPreTokenizer'}"},
        {"post_processor", "{'type':'Sequence','processors':[]}"},
        {"post_processor",
         "{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':false,'use_regex':true}"},
        {"post_processor", "{'type':'BertProcessing','sep':['b',2],'cls':['a',1]}"},
        {"post_processor", "{'type':'RobertaProcessing','sep':['b',2],'cls':['a',1],'trim_offsets':true,"
                           "'add_prefix_space':true}"},
        {"post_processor", "{'type':'TemplateProcessing','single':[],'pair':[],'special_tokens':{}}"},
    };
    static const char frame[] =
        "{'%s':%.*s%s,'model':{'type':'BPE','vocab':{'a':1,'b':2,'c':0},'merges':[]}}";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int more = 0; more < 2; more++) {
            const size_t size = strlen(cases[i].value);
            struct tokenizer *tokenizer = NULL;
            struct error err;
            char text[512];
            snprintf(text, sizeof text, frame, cases[i].section, (int)size - 1, cases[i].value,
                     more ? ",'one_more':null}" : "}");
            const enum status status = load_text(text, strlen(text), &tokenizer, &err);
            if (more) {
                assert_int_equal(status, STATUS_INPUT);
                assert_error(err, STATUS_INPUT, cases[i].section);
                assert_error(err, STATUS_INPUT, "unknown member \"one_more\"");
            } else {
                assert_ok(status, err);
            }
            tokenizer_free(tokenizer);
        }
}

// The same for the models other than BPE.
static void what_is_wrong_with_another_model_is_named(void **state)
{
    static const struct {
        const char *model;
        const char *message; // after "model: "; empty: none
    } cases[] = {
        {"{'type':'Unigram','unk_id':0,'vocab':[['a',-1.5],['b',-2]],'byte_fallback':true}", ""},
        {"{'type':'Unigram','vocab':[['a',-1.5]]}", ""},
        {"{'type':'Unigram','unk_id':null,'vocab':[]}", ""},
        {"{'type':'Unigram','vocab':[['a',-1.5],['a',-1]]}", ""}, // the last one counts
        {"{'type':'Unigram'}", "vocab: must be an array of tokens and their scores"},
        {"{'type':'Unigram','vocab':{'a':1}}", "vocab: must be an array of tokens and their scores"},
        {"{'type':'Unigram','vocab':[['a',1],['b']]}", "vocab: [1] must be a token and its score"},
        {"{'type':'Unigram','vocab':[['a',1],['b','c']]}", "vocab: [1] must be a token and its score"},
        {"{'type':'Unigram','vocab':[['a',1,2]]}", "vocab: [0] must be a token and its score"},
        {"{'type':'Unigram','vocab':['a']}", "vocab: [0] must begin with a token"},
        {"{'type':'Unigram','vocab':[[1,1]]}", "vocab: [0] must begin with a token"},
        {"{'type':'Unigram','unk_id':1,'vocab':[['a',1]]}", "unk_id 1 is not in the vocabulary of 1 tokens"},
        {"{'type':'Unigram','unk_id':-1,'vocab':[['a',1]]}", "the id of unk_id must be from 0"},
        {"{'type':'Unigram','vocab':[['a',1]],'fuse_unk':true}", "unknown member \"fuse_unk\""},
        {"{'type':'WordPiece','unk_token':'a','continuing_subword_prefix':'##',"
         "'max_input_chars_per_word':100,'vocab':{'a':0}}",
         ""},
        {"{'type':'WordPiece','unk_token':'x','continuing_subword_prefix':'##',"
         "'max_input_chars_per_word':0,'vocab':{'a':0}}",
         ""}, // which matters when a word is unknown
        {"{'type':'WordPiece','unk_token':'a','continuing_subword_prefix':'##','vocab':{'a':0}}",
         "\"max_input_chars_per_word\" must be a whole number"},
        {"{'type':'WordPiece','unk_token':'a','continuing_subword_prefix':'##',"
         "'max_input_chars_per_word':-1,'vocab':{'a':0}}",
         "\"max_input_chars_per_word\" must be a whole number"},
        {"{'type':'WordPiece','unk_token':'a','max_input_chars_per_word':100,'vocab':{'a':0}}",
         "\"continuing_subword_prefix\" must be a string, is nothing"},
        {"{'type':'WordPiece','vocab':{'a':0}}", "\"unk_token\" must be a string, is nothing"},
        {"{'type':'WordPiece','vocab':[['a',1]]}", "vocab: must be an object of tokens and their ids"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        char text[512];
        snprintf(text, sizeof text, "{'model':%s}", cases[i].model);
        const enum status status = load_text(text, strlen(text), &tokenizer, &err);
        if (cases[i].message[0] == '\0') {
            assert_ok(status, err);
        } else {
            assert_int_equal(status, STATUS_INPUT);
            assert_error(err, STATUS_INPUT, "tokenizer.json: model: ");
            assert_error(err, STATUS_INPUT, cases[i].message);
        }
        tokenizer_free(tokenizer);
    }
}

static void a_character_map_that_is_damaged_is_refused(void **state)
{
    static const struct {
        const char *map;
        const char *message;
    } cases[] = {
        {"BAAAAAAAAAA=", ""}, // one unit, no string
        {"BAAAAAAAAABhYgD/", "has a string that is not UTF-8"},
        {"BAAAAAAAAAA", "is not base64"},
        {"BAAA!AAAAAA=", "is not base64 at character 4"},
        {"", "is cut off"},
        {"BAAAAA==", "is cut off"},
        {"CAAAAAAAAAA=", "is cut off"},
        {"AAAAAAAAAAA=", "is cut off"}, // no unit
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        char text[512];
        snprintf(text, sizeof text,
                 "{'normalizer':{'type':'Precompiled','precompiled_charsmap':'%s'},"
                 "'model':{'type':'BPE','vocab':{'a':0},'merges':[]}}",
                 cases[i].map);
        const enum status status = load_text(text, strlen(text), &tokenizer, &err);
        if (cases[i].message[0] == '\0') {
            assert_ok(status, err);
        } else {
            assert_int_equal(status, STATUS_INPUT);
            assert_error(err, STATUS_INPUT, "normalizer: Precompiled: \"precompiled_charsmap\" ");
            assert_error(err, STATUS_INPUT, cases[i].message);
        }
        tokenizer_free(tokenizer);
    }
}

// Loads {parts, model} and encodes `size` times "a".
static void assert_grows_too_much(const char *parts)
{
    static const char model[] = "'model':{'type':'BPE','vocab':{'a':0},'merges':[]}";
    const size_t size = 6000;
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    int32_t *ids = NULL;
    size_t count = 0;
    char *file = malloc(strlen(parts) + sizeof model + 16), *text = malloc(size);

    assert_non_null(file);
    assert_non_null(text);
    sprintf(file, "{%s,%s}", parts, model);
    memset(text, 'a', size);
    assert_ok(load_text(file, strlen(file), &tokenizer, &err), err);
    assert_int_equal(tokenizer_encode(tokenizer, text, size, false, &ids, &count, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "tokenizer: a text grows beyond 1432576 bytes"); // 64 * 6000 + 2^20
    assert_null(ids);
    tokenizer_free(tokenizer);
    free(file);
    free(text);
}

// 40 steps that double the text would fill any memory.
static void a_text_does_not_grow_without_bounds(void **state)
{
    static const char replace[] = "{'type':'Replace','pattern':{'String':'a'},'content':'aa'}";
    static const char bytes[] =
        "{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':false}";
    char parts[8192];
    size_t used;

    (void)state;
    used = (size_t)sprintf(parts, "'normalizer':{'type':'Sequence','normalizers':[%s", replace);
    for (size_t i = 1; i < 40; i++)
        used += (size_t)sprintf(parts + used, ",%s", replace);
    sprintf(parts + used, "]}");
    assert_grows_too_much(parts);

    used = (size_t)sprintf(parts, "'pre_tokenizer':{'type':'Sequence','pretokenizers':[%s",
                           "{'type':'Metaspace','replacement':'\xe2\x96\x81','prepend_scheme':'always',"
                           "'split':false},{'type':'Split','pattern':{'String':'a'},'behavior':'Isolated',"
                           "'invert':false},{'type':'Metaspace','replacement':'\xe2\x96\x81',"
                           "'prepend_scheme':'always','split':false}");
    for (size_t i = 0; i < 40; i++)
        used += (size_t)sprintf(parts + used, ",%s", bytes);
    sprintf(parts + used, "]}");
    assert_grows_too_much(parts);

    // "a" becomes 4096 of them.
    used = (size_t)sprintf(parts, "'normalizer':{'type':'Replace','pattern':{'String':'a'},'content':'");
    memset(parts + used, 'a', 4096);
    sprintf(parts + used + 4096, "'}");
    assert_grows_too_much(parts);
}

// As does an added token that is normalised when the file is read.
// Texts of one letter, with expressions that look for another one that is not there.
static void an_expression_does_not_take_for_ever(void **state)
{
    static const struct {
        const char *regex;
        size_t size;
        const char *message; // NULL: is no trouble
    } cases[] = {
        {"(a*)*[bc]", 2000, "goes back too often at byte 0 of a text of 2000"},
        {"(?:a+)+[bc]", 100000, "goes back too often"},
        {"(?:a|aa)+[bc]|a", 5000, "goes back too often"},
        {"(?=a+c)a|b", 1000000, "it looks at the same places again and again"},
        {"[ab]+?c|a", 200000, "it looks at the same places again and again"},
        {"(?:\\\\p{L}\\\\p{M}*)+", 200000, NULL}, // one match of all the text
        {"(?:[^c]|b)+", 200000, NULL},
        {"b", 1000000, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char part[200];
        struct tokenizer *tokenizer = NULL;
        struct error err = {0};
        int32_t *ids = NULL;
        size_t count;
        char *text = malloc(cases[i].size), *json;

        assert_non_null(text);
        memset(text, 'a', cases[i].size);
        snprintf(part, sizeof part, "'%s'", cases[i].regex);
        json = changed("'a+|b'", part);
        assert_int_equal(load_text(json, strlen(json), &tokenizer, &err), STATUS_OK);
        const clock_t begun = clock();
        const enum status status =
            tokenizer_encode(tokenizer, text, cases[i].size, false, &ids, &count, &err);
        assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 3);
        if (status != (cases[i].message == NULL ? STATUS_OK : STATUS_INPUT))
            fail_msg("%s: status %d, %s", cases[i].regex, status, err.message);
        if (cases[i].message != NULL)
            assert_non_null(strstr(err.message, cases[i].message));
        tokenizer_free(tokenizer);
        free(ids);
        free(text);
        free(json);
    }
}

static void an_added_token_does_not_grow_without_bounds(void **state)
{
    static const char replace[] = "{'type':'Replace','pattern':{'String':'a'},'content':'aa'}";
    struct tokenizer *tokenizer = NULL;
    struct error err;
    char text[8192];
    size_t used =
        (size_t)sprintf(text,
                        "{'added_tokens':[{'id':1,'content':'aaa','single_word':false,'lstrip':false,"
                        "'rstrip':false,'normalized':true,'special':false}],"
                        "'normalizer':{'type':'Sequence','normalizers':[%s",
                        replace);

    (void)state;
    for (size_t i = 1; i < 40; i++)
        used += (size_t)sprintf(text + used, ",%s", replace);
    sprintf(text + used, "]},'model':{'type':'BPE','vocab':{'a':0},'merges':[]}}");
    assert_int_equal(load_text(text, strlen(text), &tokenizer, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "added_tokens: [0]: tokenizer: a text grows beyond 1048768 bytes");
}

// A template of some kilobytes would make gigabytes of ids of every text.
static void a_template_does_not_multiply_texts(void **state)
{
    enum { ROOM = 1 << 20 };
    static const char *const pieces[] = {"{'Sequence': {'id': 'A', 'type_id': 0}}",
                                         "{'SpecialToken': {'id': 'x', 'type_id': 0}}"};
    static const size_t most[] = {8, 1024};
    static const char *const messages[] = {"has a text more than 8 times",
                                           "puts more than 1024 tokens around a text"};
    char *json = malloc(ROOM);
    struct tokenizer *tokenizer;
    struct error err;
    (void)state;

    assert_non_null(json);
    for (int kind = 0; kind < 2; kind++)
        for (size_t more = 0; more < 2; more++) {
            size_t used = (size_t)snprintf(json, ROOM,
                                           "{'version': '1.0', 'model': {'type': 'BPE', 'vocab': {'a': 0}, "
                                           "'merges': []}, 'post_processor': "
                                           "{'type': 'TemplateProcessing', 'special_tokens': {'x': {'id': "
                                           "'x', 'ids': [0], 'tokens': ['x']}}, "
                                           "'single': [");
            for (size_t i = 0; i < most[kind] + more; i++)
                used += (size_t)snprintf(json + used, ROOM - used, "%s%s", i > 0 ? "," : "", pieces[kind]);
            used += (size_t)snprintf(json + used, ROOM - used, "], 'pair': []}}");
            const enum status status = load_text(json, used, &tokenizer, &err);
            if (more == 0) {
                assert_ok(status, err);
                tokenizer_free(tokenizer);
            } else {
                assert_error(err, STATUS_INPUT, messages[kind]);
            }
        }
    free(json);
}

static void a_file_of_any_size_is_not_read(void **state)
{
    const char *path = write_file(folder, "large.json", "{", 1);
    struct tokenizer *tokenizer;
    struct error err = {0};
    (void)state;

    assert_int_equal(truncate(path, ((off_t)128 << 20) + 1), 0);
    assert_int_equal(tokenizer_load(&tokenizer, path, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "large.json: has 134217729 bytes, and at most 134217728 are read");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};

    (void)state;
    assert_int_equal(tokenizer_load(&tokenizer, path_in(folder, "nothing.json"), &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "nothing.json: is not there, nor is a tokenizer");
    assert_int_equal(tokenizer_load(&tokenizer, folder, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, folder);
    assert_int_equal(tokenizer_load(&tokenizer, path_in(folder, "nothing.json"), NULL), STATUS_INPUT);
}

// `tokenizers` says so only when a text needs the token, and most texts do not.
static void an_unknown_token_that_is_no_token_is_refused_when_it_is_needed(void **state)
{
    struct tokenizer *tokenizer = NULL;
    struct error err;
    int32_t *ids = NULL;
    size_t count = 0;
    char *text = changed("'unk_token':'<s>'", "'unk_token':'<unk>'");

    (void)state;
    assert_ok(load_text(text, strlen(text), &tokenizer, &err), err);
    assert_ok(tokenizer_encode(tokenizer, "ab", 2, false, &ids, &count, &err), err);
    free(ids);
    assert_int_equal(tokenizer_encode(tokenizer, "abc", 3, false, &ids, &count, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "unk_token \"<unk>\"");
    tokenizer_free(tokenizer);
    free(text);
}

// Text that was put in front of a character stays when the character itself goes. The ids are those of
// `tokenizers`.
static void a_first_character_may_be_stripped_and_the_text_before_it_stays(void **state)
{
    static const char json[] =
        "{'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'ab'},"
        "{'type':'Strip','strip_left':false,'strip_right':true},{'type':'ByteLevel'}]},"
        "'added_tokens':[{'id':4,'content':'<s>','single_word':false,'lstrip':false,'rstrip':false,"
        "'normalized':false,'special':true}],"
        "'model':{'type':'BPE','vocab':{'a':0,'b':1,'\xc4\xa0':2,'ab':3},'merges':['a b']}}";
    static const struct {
        const char *text;
        size_t count;
        int32_t ids[3];
    } cases[] = {
        {"<s>a", 3, {4, 3, 0}}, {" ", 1, {3}}, {"   ", 1, {3}}, {" a ", 3, {3, 2, 0}}, {"b  ", 2, {3, 1}}};
    struct tokenizer *tokenizer = NULL;
    struct error err;

    (void)state;
    assert_ok(load_text(json, strlen(json), &tokenizer, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        assert_ok(tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text), true, &ids, &count, &err),
                  err);
        assert_int_equal(count, cases[i].count);
        assert_memory_equal(ids, cases[i].ids, count * sizeof *ids);
        free(ids);
    }
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_valid_file_loads),
        cmocka_unit_test(every_truncated_prefix_is_refused),
        cmocka_unit_test(no_single_byte_breaks_the_reader),
        cmocka_unit_test(what_is_wrong_or_unknown_is_named),
        cmocka_unit_test(no_member_is_ignored_anywhere),
        cmocka_unit_test(what_is_wrong_with_another_model_is_named),
        cmocka_unit_test(a_character_map_that_is_damaged_is_refused),
        cmocka_unit_test(a_text_does_not_grow_without_bounds),
        cmocka_unit_test(an_expression_does_not_take_for_ever),
        cmocka_unit_test(an_added_token_does_not_grow_without_bounds),
        cmocka_unit_test(a_template_does_not_multiply_texts),
        cmocka_unit_test(a_file_of_any_size_is_not_read),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_first_character_may_be_stripped_and_the_text_before_it_stays),
        cmocka_unit_test(an_unknown_token_that_is_no_token_is_refused_when_it_is_needed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
