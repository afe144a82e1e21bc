-- Training: runs in background workers, and what one may do with them.

CREATE PROCEDURE csp_train(
    model text,
    source text,
    location text DEFAULT NULL,
    features text DEFAULT NULL,
    label text DEFAULT NULL,
    options jsonb DEFAULT '{}',
    wait boolean DEFAULT true,
    INOUT run bigint DEFAULT NULL)
    LANGUAGE C AS 'MODULE_PATHNAME', 'csp_train';
COMMENT ON PROCEDURE csp_train(text, text, text, text, text, jsonb, boolean, bigint) IS
    'trains a new version of a model and deploys it. source: a table, a view or a SELECT; location: its column of points (default: the only geometry or geography column); features: its column of image feature vectors for contrastive pre-training (NULL: none); label: its column of classes for the supervised stage (NULL: none); options: see csp_options(); At most csp.max_training_workers runs of a database go on at a time, the others wait in a queue. wait: false returns at once with the run''s id, see csp.runs. Not inside a transaction block';
REVOKE ALL ON PROCEDURE csp_train(text, text, text, text, text, jsonb, boolean, bigint) FROM PUBLIC;

CREATE PROCEDURE csp_resume(run bigint, wait boolean DEFAULT true)
    LANGUAGE C AS 'MODULE_PATHNAME', 'csp_resume';
COMMENT ON PROCEDURE csp_resume(bigint, boolean) IS
    'goes on with a training run that has crashed, failed or been cancelled, from its last checkpoint, or from the start if it has none; to the same model as if it had never been interrupted. The rows of its source must be the same, in the same order. wait: false returns at once. Only for members of the role that owns the run, as which it goes on. Not inside a transaction block';
REVOKE ALL ON PROCEDURE csp_resume(bigint, boolean) FROM PUBLIC;

CREATE FUNCTION csp_cancel(run bigint) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'csp_cancel';
COMMENT ON FUNCTION csp_cancel(bigint) IS
    'asks a training run to end as cancelled; false if it has ended. Only for members of the role that owns the run';

CREATE FUNCTION csp_wait(run bigint, timeout interval DEFAULT NULL) RETURNS csp.run_state
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'csp_wait';
COMMENT ON FUNCTION csp_wait(bigint, interval) IS
    'waits until a training run has ended, or for the time given, and returns its state then';
