/**
 * Every bound and lifetime in one place, but those of imports and notifications, which are in
 * `import-limits.ts` and `notification-limits.ts`: the unit is in the name, the reason beside the number.
 * What an operator may change is a setting (`registry/settings.ts`) whose default stands here.
 */

const MIB = 1024 * 1024;

/** distribution-spec: a registry should take manifests of at least 4 MB. */
export const MANIFEST_BYTES_MAX = 4 * MIB;
/** A D1 row stops at 2,000,000 bytes; larger bodies are kept in R2. */
export const MANIFEST_INLINE_BYTES_MAX = 1_000_000;
/** The digests of one manifest travel as one JSON parameter, and D1 stops at 2,000,000 bytes. */
export const MANIFEST_DESCRIPTORS_MAX = 10_000;
/** A config is read into memory whole when its manifest is pushed. */
export const CONFIG_BYTES_MAX = 8 * MIB;
/** A list in a list is rare, and each costs a round trip on the way down to an image. */
export const INDEX_DEPTH_MAX = 10;
/** Each step of a history becomes a layer in memory, also one that changed nothing. */
export const HISTORY_STEPS_MAX = 10_000;
/** Of a label that somebody chose; the keys of an image's own labels are as long as they are. */
export const LABEL_KEY_LENGTH_MAX = 255;
/** Longer label values are skipped when labels are copied from an image. */
export const LABEL_VALUE_BYTES_MAX = 65_536;
/** One JSON parameter must stay well below D1's 2,000,000 bytes. */
export const JSON_PARAMETER_BYTES_MAX = 1_000_000;

/**
 * R2 wants every part of a multipart upload but the last to have one size, 5 MiB at least. Two are
 * in memory for each upload, so six layers at once take 60 of the 128 MB that an isolate has, and
 * would take 96 with parts of 8 MiB. Those save 40 of the 106 R2 writes of 512 MiB in a stream, and
 * no CPU; in chunks of 5 MiB they cost 50 writes more, for what fills no part is put aside each time.
 */
export const UPLOAD_PART_BYTES = 5 * MIB;
export const BLOB_BYTES_MAX = 20_000_000_000;
/** 90 MiB: the edge refuses request bodies above 100 MB on most plans before a Worker runs. */
export const UPLOAD_CHUNK_BYTES_MAX = 90 * MIB;
/**
 * Learning how large a blob is unpacked takes a second of CPU for 100 MB of an image's layers (350
 * MB unpacked, measured: 0.94 s), where hashing a chunk takes 0.7 s and receiving in one request
 * almost none. So the larger half of what the edge lets through in one request is not unpacked, nor
 * is what follows the first 64 MiB of a stream: two thirds of a second for each blob at most. Null
 * is as good an answer, and whoever estimates has the compressed size.
 */
export const INFLATE_INPUT_BYTES_MAX = 64 * MIB;
/** Eight times that: layers are seldom packed tighter, and 20 MB can be made of 20 GB of zeros. */
export const INFLATE_OUTPUT_BYTES_MAX = 512 * MIB;
/** How long a writer holds an upload without a sign of life before another may take it over. */
export const UPLOAD_CLAIM_MS = 120_000;
/** A writer whose bytes still flow extends its claim this often. */
export const UPLOAD_CLAIM_EXTEND_MS = 30_000;

/** A write still in flight when its key was given up must land before the drain deletes it. */
export const TOMBSTONE_GRACE_MS = 3_600_000;
/** What is taken up for deletion and not confirmed is taken up again later, ever more rarely. */
export const TOMBSTONE_BACK_OFF_MS = 60_000;
export const TOMBSTONE_BACK_OFF_MS_MAX = 21_600_000;
/** A run of the drain takes up so many tombstones at a time, and so many times. */
export const TOMBSTONES_PER_ROUND_MAX = 1000;
export const TOMBSTONE_ROUNDS_MAX = 5;
/** A Worker has six connections that wait for an answer; more calls at once would only queue. */
export const R2_CALLS_AT_ONCE_MAX = 6;
/** An upload that nobody went on with in two days is given up. */
export const STALE_UPLOAD_MS = 172_800_000;
/** R2 aborts unfinished multipart uploads after seven days; an upload must end before. */
export const UPLOAD_LIFETIME_MS_MAX = 518_400_000;
export const STALE_UPLOADS_PER_RUN_MAX = 100;
/** A cron run is stopped after 15 minutes; until then it keeps others from the same work. */
export const GC_LEASE_MS = 960_000;
/** What a step of garbage collection removes at most. Small, since pushes wait while it writes. */
export const GARBAGE_TAGS_PER_STEP_MAX = 10;
export const GARBAGE_LEASES_PER_STEP_MAX = 10;
export const GARBAGE_CANDIDATES_PER_STEP_MAX = 50;
/** A run draws among so many repositories, so that several runs spread and none starves. */
export const GARBAGE_REPOSITORIES_DRAWN_FROM_MAX = 500;
/** What a run of the collector may use: D1 stops an invocation at 1000 statements. */
export const GARBAGE_STATEMENTS_PER_RUN_MAX = 300;
export const GARBAGE_REPOSITORIES_PER_RUN_MAX = 20;
export const GARBAGE_RUN_MS_MAX = 20_000;
/** What a step of a purge removes at most: nobody pushes there, but all writes wait for it. */
export const PURGE_MANIFESTS_PER_STEP_MAX = 50;
export const PURGE_ROWS_PER_STEP_MAX = 500;
/** A purge that failed is tried again later, ever more rarely. */
export const PURGE_BACK_OFF_MS = 60_000;
export const PURGE_BACK_OFF_MS_MAX = 21_600_000;
/** Repositories of a namespace that are marked by one batch, each with what its uploads have. */
export const REPOSITORIES_MARKED_PER_STEP_MAX = 50;
/** A run that purges namespaces marks repositories in the main; both purges share an invocation. */
export const NAMESPACE_STATEMENTS_PER_RUN_MAX = 300;
export const NAMESPACES_PER_RUN_MAX = 20;
/** Distinct windows that are looked at; the settings offer five. */
export const GARBAGE_WINDOWS_MAX = 100;
/** What was removed is remembered so long: longer than it takes to miss a quarterly image. */
export const REMOVAL_KEPT_MS = 7_776_000_000;
/** How many of those records one run forgets; each writes its row and three indexes. */
export const REMOVALS_PER_PRUNE_MAX = 500;
export const REMOVAL_PAGE_SIZE_DEFAULT = 100;
export const REMOVAL_PAGE_SIZE_MAX = 1000;
/** Who did what is remembered for a quarter, which an incident is seldom older than. */
export const AUDIT_LOG_DAYS_DEFAULT = 90;
/** How many of those records a run forgets, which is each hour: 120,000 a day are more than come. */
export const AUDIT_RECORDS_PER_PRUNE_MAX = 5000;
/** Quay's page, and its span where none is asked for: a week. */
export const AUDIT_RECORD_PAGE_SIZE = 20;
export const AUDIT_SPAN_MS_DEFAULT = 604_800_000;
/** Records that are looked at for a page of one performer's. */
export const AUDIT_RECORDS_LOOKED_AT_MAX = 1000;
/** Records that are counted by kind and day: two rows read each, some 50 ms. */
export const AUDIT_RECORDS_COUNTED_MAX = 20_000;
/** The metadata of a record as JSON, in characters; fifty tags of one push fit. */
export const AUDIT_METADATA_LENGTH_MAX = 8192;
/** What an answer to "why is this still here?" lists; the rest is counted. */
export const REASONS_MAX = 20;
/** Generations of one manifest that are read for it, those of today first. */
export const REASON_TAGS_READ_MAX = 500;
/** Manifests above one that are walked for it, and generations that are read of all of them. */
export const REASON_HOLDERS_WALKED_MAX = 500;
export const REASON_HOLDER_TAGS_READ_MAX = 1000;
/** Other repositories are counted so far. */
export const REASON_REPOSITORIES_COUNTED_MAX = 100;
/** What a plan of a collection lists; its ids travel as JSON parameters. */
export const PLAN_REPOSITORIES_MAX = 100;
export const PLAN_TAGS_MAX = 1000;
export const PLAN_LEASES_MAX = 1000;
export const PLAN_MANIFESTS_MAX = 5000;
export const PLAN_BLOBS_MAX = 5000;
/** A round goes one index or one subject down; each is a round trip. */
export const PLAN_ROUNDS_MAX = 20;
/** A pass of the audit begins this long after the one before; a little less, as cron is not exact. */
export const AUDIT_INTERVAL_MS = 84_600_000;
/** Rows that are younger are left to the next pass; so are objects, by more than R2's seven days. */
export const AUDITED_ROW_AGE_MS_MIN = 86_400_000;
export const AUDITED_OBJECT_AGE_MS_MIN = 691_200_000;
/** What no row names may be there because a binding is wrong: a week to see the errors in the log. */
export const UNOWNED_OBJECT_GRACE_MS = 604_800_000;
/** A page of the audit is one transaction, during which all writes wait. */
export const AUDIT_ROWS_PER_PAGE = 500;
export const AUDIT_KEYS_PER_PAGE = 1000;
/** What a run of the audit may use, of the 1000 statements and 15 minutes of an invocation. */
export const AUDIT_STATEMENTS_PER_RUN_MAX = 800;
export const AUDIT_RUN_MS_MAX = 300_000;
/** How many blobs of each run are looked for in R2. */
export const AUDIT_BLOBS_SAMPLED_PER_RUN = 100;
/** What a pass found is counted; so much of each kind is named. */
export const AUDIT_FINDINGS_NAMED_MAX = 20;
/** A manifest body is put into R2 under a tombstone; a put begun later than this starts again. */
export const MANIFEST_PUT_START_MS_MAX = 900_000;

/** What a commit, a mount or a pusher's HEAD keeps a blob for until a manifest names it. */
export const PUSH_LEASE_SEC = 3600;
/** What keeps a manifest that was pushed by digest until a tag or an index names it. */
export const PUSH_TEMP_TAG_SEC = 3600;
/** What keeps a manifest that was just looked up with `requireAvailable`, or pulled as of a time. */
export const AVAILABLE_TEMP_TAG_SEC = 300;
/** Who pulls as of a time has as long to go on by digest; half, so that not each pull writes. */
export const PAST_PULL_HELD_SEC = AVAILABLE_TEMP_TAG_SEC / 2;

/** The time machine's window of a namespace that never chose one: two weeks. */
export const TIME_MACHINE_WINDOW_SEC_DEFAULT = 1_209_600;
/** The windows that a namespace may choose: none, a day, a week, two and four. */
export const TIME_MACHINE_WINDOWS_SEC = [0, 86_400, 604_800, 1_209_600, 2_419_200];

/** Who pulls a tag that ends within this time is told so: long enough to act on after a weekend. */
export const TAG_END_WARNING_SEC = 259_200;
/** An end that is chosen for a tag lies no nearer to its start: an hour to change one's mind. */
export const TAG_LIFETIME_SEC_MIN = 3600;
/** Nor further from it: 104 weeks. */
export const TAG_LIFETIME_SEC_MAX = 62_899_200;
/** A sweep leaves tags their slot for so long after their end: clocks of two machines disagree. */
export const ENDED_TAG_GRACE_MS = 60_000;
/** How many ended tags one sweep takes; each writes its row and four indexes. */
export const ENDED_TAGS_PER_SWEEP = 500;

export const TAG_PAGE_SIZE_DEFAULT = 100;
export const TAG_PAGE_SIZE_MAX = 1000;
export const HISTORY_PAGE_SIZE_DEFAULT = 100;
/** The management API's pages of the history, which are smaller. */
export const TAG_VIEWS_PER_PAGE_DEFAULT = 50;
export const TAG_VIEWS_PER_PAGE_MAX = 100;
/** The management API's pages of repositories, and the tags that it shows of one. */
export const REPOSITORIES_PER_PAGE = 100;
export const TAGS_OF_REPOSITORY_MAX = 500;
/**
 * A search reads all that it looks at: two rows a repository of those that everybody sees, and of
 * those that are somebody's own.
 */
export const SEARCHED_REPOSITORIES_MAX = 50_000;
export const SEARCH_PAGE_SIZE = 10;
/** Further than anybody turns pages; each finds again what is before it. */
export const SEARCH_PAGE_MAX = 100;
/** A repository's whole name has no more. */
export const SEARCH_TEXT_LENGTH_MAX = 255;
/** A page by number reads all that is before it. */
export const TAG_VIEW_PAGE_MAX = 10_000;
/** Each repository asked for when its last tag was started is a probe of its own. */
export const MOST_RECENT_REPOSITORIES_MAX = 100;

/** How long a deletion may be missed by a location that another one was asked in. */
export const ANSWER_TTL_SEC_DEFAULT = 60;
/**
 * Blobs up to this size are kept in the location that was asked. Each is whole in memory while it is
 * checked and sent: sixty at once take half of an isolate's 128 MB, and hashing one takes 0.7 ms.
 */
export const BLOB_KEPT_BYTES_MAX = MIB;
/** Bytes of a digest are true for ever; a day after the last copy was deleted none is kept. */
export const BLOB_KEPT_SEC = 86_400;

/** So many keys of the cache an isolate writes in a second, before it may write one twice. */
export const CACHE_WRITES_REMEMBERED_MAX = 1000;
/** Lists of a few countries each, so that a busy namespace's pulls do without KV. */
export const REGION_SETS_REMEMBERED_MAX = 1000;

/** A page of referrers carries their bodies, for the annotations in them. */
export const REFERRER_PAGE_SIZE_MAX = 100;
export const REFERRERS_BODY_BYTES_MAX = 4 * MIB;

/** How often an isolate writes down what was pulled from it; a row each time. */
export const PULL_REPORT_INTERVAL_SEC_DEFAULT = 60;
/** An isolate that was quiet waits so long for more pulls before it writes the first ones down. */
export const PULL_REPORT_DELAY_MS = 20_000;
/** The platform lets work run for 30 s behind an answer. */
export const DEFERRED_WAIT_MS_MAX = 25_000;
/** So many tags and manifests are in a report at most: some 100 kB of a row's 2,000,000 bytes. */
export const PULLS_TALLIED_MAX = 500;
/** How many reports cron takes at a time, and how often: isolates of a day without cron. */
export const PULL_REPORTS_PER_STEP_MAX = 20;
export const PULL_REPORT_STEPS_PER_RUN_MAX = 100;
/** The longest that what was pulled by digest may be held. */
export const HELD_BY_PULL_DAYS_MAX = 365;
/** An isolate that had a manifest held sees to it again after so long. */
export const PULL_HOLD_CHECK_MS = 3_600_000;
/** A hold is made for so much longer, so that it is written once a day, however often it is due. */
export const PULL_HOLD_EXTRA_MS = 86_400_000;
/** So many manifests an isolate remembers to have held; those it forgets cost a look. */
export const PULL_HOLDS_REMEMBERED_MAX = 10_000;

/** How many repositories are looked at for one that a mount without a source may read. */
export const BLOB_SOURCES_MAX = 50;
/** The edge's own bound. The largest that any client needs has 32 scopes, or 50 tags. */
export const URL_LENGTH_MAX = 16_384;
export const QUERY_PARAMETERS_MAX = 128;
/** What the management API takes is a page of JSON at most; a manifest does not go through it. */
export const MANAGEMENT_BODY_BYTES_MAX = MIB;
/** What a refusal says; it may quote what was sent, which is no reason to send all of it back. */
export const ERROR_MESSAGE_LENGTH_MAX = 1000;
/** How deep a body may be nested: reports of scanners are, a little; writing JSON takes stack. */
export const JSON_DEPTH_MAX = 64;
/** How many tags one push may set; the specification wants ten at least. */
export const TAGS_PER_PUSH_MAX = 50;

/** How many tags one release moves: three statements each, and three attempts fit an invocation. */
export const RELEASE_MOVES_MAX = 50;
/** A release can be undone for so long: as long as it is remembered what was removed. */
export const RELEASE_KEPT_MS = 7_776_000_000;
/** How many of those records one run forgets; each writes its row and two indexes. */
export const RELEASES_PER_PRUNE_MAX = 500;
/** A record of 50 moves has some 20 kB. */
export const RELEASE_PAGE_SIZE_DEFAULT = 20;
export const RELEASE_PAGE_SIZE_MAX = 100;

/** The length of a policy's pattern, in characters. */
export const POLICY_PATTERN_LENGTH_MAX = 256;
/**
 * What a pattern may compile to, in instructions. Matching takes linear time in the name, and this
 * is the factor: 256 characters can make 30,000 instructions and a second of CPU for every push.
 */
export const POLICY_PROGRAM_SIZE_MAX = 1000;
/** How many tag names a sweep reads, matches and locks at a time. */
export const POLICY_SWEEP_PAGE_SIZE = 500;
/** A page takes three statements, and D1 allows an invocation a thousand. */
export const POLICY_SWEEP_PAGES_MAX = 250;

/** The most tags that a policy may keep by number, and the longest it may keep them: 100 years. */
export const RETENTION_TAGS_MAX = 1_000_000;
export const RETENTION_AGE_SEC_MAX = 3_153_600_000;
/** How often the retention policies of a repository or namespace are applied. */
export const RETENTION_INTERVAL_MS = 3_600_000;
/** A run that died or failed is gone on with after so long; others come first until then. */
export const RETENTION_RETRY_MS = 900_000;
/** How many tags a plan reads at a time, and how often: of the 200,000 newest of a repository. */
export const RETENTION_PAGE_SIZE = 1000;
export const RETENTION_PAGES_MAX = 200;
/** How many tags are ended at a time. Small, since pushes wait while it writes. */
export const RETENTION_TAGS_PER_STEP_MAX = 50;
/** What a run may use: a whole plan and more, of the 1000 statements of an invocation. */
export const RETENTION_STATEMENTS_PER_RUN_MAX = 600;
export const RETENTION_REPOSITORIES_PER_RUN_MAX = 100;
export const RETENTION_RUN_MS_MAX = 20_000;
/** How many repositories of a namespace are read at a time. */
export const RETENTION_REPOSITORIES_PAGE_SIZE = 20;

/** A write that loses its race is begun again this often before it is given up as a conflict. */
export const WRITE_ATTEMPTS_MAX = 3;
/** When a client whom a store failed may come again: a database that was reset is back by then. */
export const STORE_RETRY_AFTER_SEC = 2;

/** A token must outlive one large pull's requests; rights that were taken away end with it. */
export const TOKEN_TTL_SEC_DEFAULT = 300;
/** Clocks of two machines disagree by seconds. */
export const TOKEN_LEEWAY_SEC = 30;

/** Secrets of 36 letters and digits hold 330 bits; the first characters, 62 bits, find the row. */
export const SECRET_LENGTH = 64;
export const SECRET_PREFIX_LENGTH = 12;
/** All of them are renamed when their namespace is marked for deletion, in that one batch. */
export const ROBOTS_PER_NAMESPACE_MAX = 1000;
export const ROBOT_DESCRIPTION_LENGTH_MAX = 255;
/** As JSON text. */
export const ROBOT_METADATA_LENGTH_MAX = 10_000;
/** All of them are listed at once. */
export const APP_TOKENS_PER_USER_MAX = 100;
export const APP_TOKEN_TITLE_LENGTH_MAX = 255;
/** A token that ends within so many days is listed as one to be replaced. */
export const APP_TOKEN_EXPIRING_DAYS = 28;
/** A token that is good for less is over before it was pasted. */
export const APP_TOKEN_LIFETIME_MS_MIN = 60_000;
/** 10 years: who wants more can have one without an end. */
export const APP_TOKEN_LIFETIME_MS_MAX = 315_360_000_000;
/** A page of them, by name, sorts all that there are. */
export const MEMBERS_PER_ORGANIZATION_MAX = 5000;
export const RIGHTS_PER_REPOSITORY_MAX = 1000;
/** Of accounts, members, rights and namespaces. */
export const ACCOUNT_PAGE_SIZE_DEFAULT = 100;
export const ACCOUNT_PAGE_SIZE_MAX = 1000;
/** In characters; a text of a few pages. */
export const REPOSITORY_DESCRIPTION_LENGTH_MAX = 25_000;
/** So many logins of one account may fail in a minute, and from one address, where there are more. */
export const LOGIN_FAILURES_PER_ACCOUNT_MAX = 10;
export const LOGIN_FAILURES_PER_ADDRESS_MAX = 20;
export const LOGIN_FAILURE_WINDOW_MS = 60_000;
/** Short, since whoever knows a name can have it blocked; 10 guesses a minute find no password. */
export const LOGIN_BLOCK_MS = 60_000;
/** So many accounts and addresses an isolate remembers, blocked ones apart. */
export const LOGIN_KEYS_REMEMBERED_MAX = 10_000;
/** When a secret was last used is written down once in so long; that is a row written. */
export const LAST_USE_INTERVAL_MS = 86_400_000;

/** Of trust rules a robot has, for the repositories and branches that may be it. */
export const TRUST_RULES_PER_ROBOT_MAX = 50;
/** The issuer and the subject of a trust rule, in characters. */
export const ISSUER_LENGTH_MAX = 255;
export const SUBJECT_PATTERN_LENGTH_MAX = 255;
/** A subject that is longer is nobody's; those of jobs have some 100 characters. */
export const SUBJECT_LENGTH_MAX = 1024;
/** A job's token carries some dozens of claims, in 1 to 4 kB. */
export const OIDC_TOKEN_LENGTH_MAX = 16_384;
/** Some issuers let a token live as long as the job, which may be days; no older one is taken. */
export const OIDC_TOKEN_AGE_SEC_MAX = 86_400;
/** What a robot gets for it: long enough for a job, and what other registries give. */
export const ROBOT_TOKEN_TTL_SEC = 3600;
/** The issuers whose tokens an administrator allows; an isolate remembers the keys of all. */
export const ISSUERS_MAX = 20;
/** A key that an issuer withdrew is taken for so long. Jobs of a day cost 144 writes at most. */
export const ISSUER_KEYS_TTL_SEC = 600;
/**
 * How long an issuer is left alone after it was asked for keys that it may have got since, or failed:
 * whoever makes up key ids has it asked no more often.
 */
export const ISSUER_PAUSE_MS = 10_000;
/** For both answers of an issuer together; a job's login must not hang on one that does not answer. */
export const ISSUER_TIMEOUT_MS = 4000;
/** A discovery document has some 2 kB, a set of keys some 10. */
export const ISSUER_ANSWER_BYTES_MAX = 262_144;
export const ISSUER_KEYS_MAX = 100;

/**
 * A scanner's report as JSON text; a body of the management API has hardly more. A D1 row stops at
 * 2,000,000 bytes.
 */
export const SECURITY_REPORT_BYTES_MAX = 1_000_000;
/** How many manifests a page of what scanners have to do looks at; some five rows read each. */
export const SCANS_LOOKED_AT_MAX = 500;

/** How many seconds a call of another Worker may name: so far from now a time is still a time. */
export const CALL_SECONDS_MAX = 999_999_999;
