SELECT pg_catalog.set_config('search_path', '', false);
CREATE FUNCTION public.mr_artifact_has_bytes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM mr_blob b WHERE b.digest = NEW.digest AND b.state = 'stored') THEN
    RAISE EXCEPTION 'an artifact version points to stored bytes' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_artifact_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'what an artifact version holds never changes' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_event_in_line() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF NEW.sequence <> (SELECT r.last_sequence FROM mr_registry r) OR EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND (v.model_id <> NEW.model_id OR v.state = 'deleted')) THEN
    RAISE EXCEPTION 'an event takes the next sequence number, and a version of its own model that is not deleted' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_event_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'the history of stages is never edited' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_line_grows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'the history of stages only grows' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_model_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'of a model its numbers stay' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_number_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'a version keeps its number, its seal and the name under it, and a deleted one stays deleted' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_numbers_grow() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'no version number is used twice' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_sealed_link_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted') THEN
    RAISE EXCEPTION 'what a version held when it was first promoted stays' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_sealed_metadata_stay() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted') THEN
    RAISE EXCEPTION 'what was known of a version when it was first promoted stays' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_stage_follows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF NEW.version_id IS NULL THEN
    DELETE FROM mr_stage WHERE model_id = NEW.model_id AND stage = NEW.stage;
  ELSE
    INSERT INTO mr_stage (model_id, stage, version_id, sequence)
      VALUES (NEW.model_id, NEW.stage, NEW.version_id, NEW.sequence)
      ON CONFLICT (model_id, stage) DO UPDATE SET version_id = NEW.version_id, sequence = NEW.sequence;
    UPDATE mr_version SET sealed_at = NEW.at WHERE id = NEW.version_id AND sealed_at IS NULL;
    IF FOUND THEN
      UPDATE mr_link SET sealed = TRUE WHERE version_id = NEW.version_id;
      UPDATE mr_metadata SET sealed = TRUE WHERE version_id = NEW.version_id;
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION public.mr_stage_is_last_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF NEW.sequence <> coalesce((SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = NEW.model_id AND l.stage = NEW.stage), 0) OR NOT EXISTS (
  SELECT 1 FROM mr_stage_event e WHERE e.sequence = NEW.sequence AND +e.version_id = NEW.version_id
) THEN
    RAISE EXCEPTION 'a stage points to what its last event says' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_stage_is_left_by_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF OLD.sequence >= coalesce((SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = OLD.model_id AND l.stage = OLD.stage), 0) THEN
    RAISE EXCEPTION 'a stage is left by an event only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_tombstone_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'of a version a tombstone stays' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_used_bytes_stay() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM mr_artifact_version a WHERE a.digest = OLD.digest AND a.deleted_at IS NULL) THEN
    RAISE EXCEPTION 'bytes that an artifact version points to stay' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION public.mr_used_version_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM mr_stage s WHERE s.model_id = OLD.model_id AND s.version_id = OLD.id) OR EXISTS (SELECT 1 FROM mr_run_pin p WHERE p.version_id = OLD.id) THEN
    RAISE EXCEPTION 'a version that is in a stage or pinned by a run is not deleted' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TABLE public.mr_alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.mr_artifact (
    id bigint NOT NULL,
    name character varying(100) NOT NULL,
    last_number bigint NOT NULL
);
CREATE SEQUENCE public.mr_artifact_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.mr_artifact_id_seq OWNED BY public.mr_artifact.id;
CREATE TABLE public.mr_artifact_version (
    id bigint NOT NULL,
    artifact_id bigint NOT NULL,
    number bigint NOT NULL,
    digest character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    materializer character varying(100) NOT NULL,
    format_version integer NOT NULL,
    type_names text NOT NULL,
    attributes text NOT NULL,
    signature text NOT NULL,
    environment text NOT NULL,
    metadata text NOT NULL,
    signed text,
    deployment text,
    dag_id text,
    run_id text,
    task_id text,
    map_index integer NOT NULL,
    try_number integer,
    attempt_id text,
    output text,
    part_of bigint,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT ck_mr_artifact_version_kind CHECK (((kind)::text = ANY ((ARRAY['model'::character varying, 'data'::character varying, 'deployment'::character varying])::text[])))
);
CREATE SEQUENCE public.mr_artifact_version_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.mr_artifact_version_id_seq OWNED BY public.mr_artifact_version.id;
CREATE TABLE public.mr_blob (
    digest character varying(64) NOT NULL,
    size bigint NOT NULL,
    state character varying(16) NOT NULL,
    touched_at timestamp with time zone NOT NULL,
    life bigint NOT NULL,
    CONSTRAINT ck_mr_blob_size CHECK ((size >= 0)),
    CONSTRAINT ck_mr_blob_state CHECK (((state)::text = ANY ((ARRAY['intended'::character varying, 'stored'::character varying, 'condemned'::character varying, 'removed'::character varying])::text[])))
);
CREATE TABLE public.mr_claim (
    deployment text NOT NULL,
    dag_id text NOT NULL,
    sequence bigint NOT NULL,
    run_id text NOT NULL
);
CREATE TABLE public.mr_claim_run (
    deployment text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.mr_consumer (
    deployment text NOT NULL,
    dag_id text NOT NULL,
    model character varying(100) NOT NULL,
    stage character varying(100) NOT NULL,
    delivered bigint NOT NULL,
    claimed bigint NOT NULL
);
CREATE TABLE public.mr_link (
    version_id bigint NOT NULL,
    artifact_version_id bigint NOT NULL,
    relation character varying(16) NOT NULL,
    own boolean NOT NULL,
    name character varying(100) NOT NULL,
    map_index integer NOT NULL,
    sealed boolean DEFAULT false NOT NULL,
    linked_by text,
    CONSTRAINT ck_mr_link_relation CHECK (((relation)::text = ANY ((ARRAY['output'::character varying, 'derived'::character varying, 'linked'::character varying])::text[])))
);
CREATE TABLE public.mr_metadata (
    version_id bigint NOT NULL,
    key character varying(250) NOT NULL,
    value text NOT NULL,
    sealed boolean DEFAULT false NOT NULL,
    deployment text,
    dag_id text,
    run_id text,
    task_id text,
    map_index integer,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.mr_model (
    id bigint NOT NULL,
    name character varying(100) NOT NULL,
    card text NOT NULL,
    tags text NOT NULL,
    last_number bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone
);
CREATE SEQUENCE public.mr_model_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.mr_model_id_seq OWNED BY public.mr_model.id;
CREATE TABLE public.mr_producer (
    version_id bigint NOT NULL,
    task_id text NOT NULL,
    state character varying(16) NOT NULL,
    declares boolean NOT NULL,
    attempt_id text,
    at timestamp with time zone NOT NULL,
    CONSTRAINT ck_mr_producer_state CHECK (((state)::text = ANY ((ARRAY['pending'::character varying, 'committed'::character varying, 'failed'::character varying, 'skipped'::character varying])::text[])))
);
CREATE TABLE public.mr_registry (
    one smallint NOT NULL,
    id character varying(36) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    oldest_code character varying(32) NOT NULL,
    last_sequence bigint NOT NULL,
    last_event_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_mr_registry_one_row CHECK ((one = 1))
);
CREATE TABLE public.mr_resolution (
    id bigint NOT NULL,
    attempt_id text NOT NULL,
    reference_key character varying(32) NOT NULL,
    deployment text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    task_id text NOT NULL,
    map_index integer NOT NULL,
    try_number integer NOT NULL,
    model character varying(100),
    selector character varying(200),
    wanted text NOT NULL,
    version_id bigint,
    artifact_version_id bigint,
    digest character varying(64),
    resolved boolean NOT NULL,
    belongs boolean NOT NULL,
    sequence bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.mr_resolution_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.mr_resolution_id_seq OWNED BY public.mr_resolution.id;
CREATE TABLE public.mr_run_pin (
    deployment text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    model_id bigint NOT NULL,
    selector character varying(200) NOT NULL,
    version_id bigint,
    run_mark text,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.mr_run_version (
    version_id bigint NOT NULL,
    deployment text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    model_id bigint NOT NULL,
    generation integer NOT NULL,
    run_mark text
);
CREATE TABLE public.mr_stage (
    model_id bigint NOT NULL,
    stage character varying(100) NOT NULL,
    version_id bigint NOT NULL,
    sequence bigint NOT NULL
);
CREATE TABLE public.mr_stage_event (
    sequence bigint NOT NULL,
    model_id bigint NOT NULL,
    stage character varying(100) NOT NULL,
    version_id bigint,
    previous_version_id bigint,
    behind bigint,
    restores bigint,
    at timestamp with time zone NOT NULL,
    who text,
    reason text,
    quiet boolean DEFAULT false NOT NULL,
    deployment text,
    dag_id text,
    run_id text,
    task_id text
);
CREATE TABLE public.mr_version (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    number bigint NOT NULL,
    name character varying(100),
    state character varying(16) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone,
    deleted_at timestamp with time zone,
    deployment text,
    dag_id text,
    run_id text,
    description text,
    tags text NOT NULL,
    environment text NOT NULL,
    CONSTRAINT ck_mr_version_number CHECK ((number > 0)),
    CONSTRAINT ck_mr_version_state CHECK (((state)::text = ANY ((ARRAY['producing'::character varying, 'ready'::character varying, 'failed'::character varying, 'deleted'::character varying])::text[])))
);
CREATE SEQUENCE public.mr_version_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.mr_version_id_seq OWNED BY public.mr_version.id;
ALTER TABLE ONLY public.mr_artifact ALTER COLUMN id SET DEFAULT nextval('public.mr_artifact_id_seq'::regclass);
ALTER TABLE ONLY public.mr_artifact_version ALTER COLUMN id SET DEFAULT nextval('public.mr_artifact_version_id_seq'::regclass);
ALTER TABLE ONLY public.mr_model ALTER COLUMN id SET DEFAULT nextval('public.mr_model_id_seq'::regclass);
ALTER TABLE ONLY public.mr_resolution ALTER COLUMN id SET DEFAULT nextval('public.mr_resolution_id_seq'::regclass);
ALTER TABLE ONLY public.mr_version ALTER COLUMN id SET DEFAULT nextval('public.mr_version_id_seq'::regclass);
INSERT INTO public.mr_alembic_version VALUES ('0001');
INSERT INTO public.mr_artifact VALUES (1, 'trained_model', 2);
INSERT INTO public.mr_artifact VALUES (3, 'shards', 2);
INSERT INTO public.mr_artifact_version VALUES (1, 1, 1, '1111111111111111111111111111111111111111111111111111111111111111', 'model', 'json', 1, '["builtins.dict"]', '{"kind": "gr\u00f6\u00dfe"}', 'null', '{"python": "3.11.7"}', '{"digit": 1}', NULL, NULL, NULL, NULL, NULL, -1, NULL, NULL, NULL, NULL, '2026-12-02 13:14:08.25991+00', NULL);
INSERT INTO public.mr_artifact_version VALUES (2, 1, 2, '2222222222222222222222222222222222222222222222222222222222222222', 'model', 'json', 1, '["builtins.dict"]', '{"kind": "gr\u00f6\u00dfe"}', 'null', '{"python": "3.11.7"}', '{"digit": 2}', NULL, 'default', 'training', 'run 1', 'train', -1, 1, 'try 1', 'trained_model', NULL, '2026-12-02 13:14:08.298821+00', NULL);
INSERT INTO public.mr_artifact_version VALUES (3, 3, 1, '3333333333333333333333333333333333333333333333333333333333333333', 'data', 'json', 1, '["builtins.dict"]', '{"kind": "gr\u00f6\u00dfe"}', 'null', '{"python": "3.11.7"}', '{"digit": 3}', NULL, 'default', 'training', 'run 1', 'train', 0, 1, 'try 1', 'shards', NULL, '2026-12-02 13:14:08.303751+00', NULL);
INSERT INTO public.mr_artifact_version VALUES (4, 3, 2, '4444444444444444444444444444444444444444444444444444444444444444', 'data', 'json', 1, '["builtins.dict"]', '{"kind": "gr\u00f6\u00dfe"}', 'null', '{"python": "3.11.7"}', '{"digit": 4}', NULL, 'default', 'training', 'run 1', 'train', 1, 1, 'try 1', 'shards', NULL, '2026-12-02 13:14:08.314819+00', NULL);
INSERT INTO public.mr_blob VALUES ('1111111111111111111111111111111111111111111111111111111111111111', 1, 'stored', '2026-12-02 13:14:08.259821+00', 1028219307257290024);
INSERT INTO public.mr_blob VALUES ('2222222222222222222222222222222222222222222222222222222222222222', 2, 'stored', '2026-12-02 13:14:08.298757+00', 703110324756246087);
INSERT INTO public.mr_blob VALUES ('3333333333333333333333333333333333333333333333333333333333333333', 3, 'stored', '2026-12-02 13:14:08.303698+00', 2957979497959689464);
INSERT INTO public.mr_blob VALUES ('4444444444444444444444444444444444444444444444444444444444444444', 4, 'stored', '2026-12-02 13:14:08.314778+00', 3155795478406964235);
INSERT INTO public.mr_blob VALUES ('ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 9, 'intended', '2026-12-02 13:14:08.395564+00', 2596150027202802801);
INSERT INTO public.mr_link VALUES (1, 1, 'output', true, 'trained_model', -1, true, NULL);
INSERT INTO public.mr_link VALUES (2, 3, 'output', true, 'shards', 0, true, NULL);
INSERT INTO public.mr_link VALUES (2, 4, 'output', true, 'shards', 1, true, NULL);
INSERT INTO public.mr_link VALUES (2, 2, 'output', true, 'trained_model', -1, true, NULL);
INSERT INTO public.mr_metadata VALUES (1, 'accuracy', '0.5', true, NULL, NULL, NULL, NULL, NULL, '2026-12-02 13:14:08.270443+00');
INSERT INTO public.mr_metadata VALUES (1, 'notes', '{"gr\u00f6\u00dfe": [1, null]}', true, NULL, NULL, NULL, NULL, NULL, '2026-12-02 13:14:08.270654+00');
INSERT INTO public.mr_metadata VALUES (2, 'accuracy', '0.75', true, 'default', 'training', 'run 1', 'train', -1, '2026-12-02 13:14:08.321561+00');
INSERT INTO public.mr_metadata VALUES (2, 'seen', '7', false, NULL, NULL, NULL, NULL, NULL, '2026-12-02 13:14:08.335969+00');
INSERT INTO public.mr_model VALUES (1, 'iris', '{"description": "flowers", "license": "MIT"}', '["demo"]', 5, '2026-12-02 13:14:08.248082+00', NULL);
INSERT INTO public.mr_model VALUES (2, 'rose', '{}', '[]', 1, '2026-12-02 13:14:08.377909+00', NULL);
INSERT INTO public.mr_producer VALUES (2, 'train', 'committed', true, NULL, '2026-12-02 13:14:08.325037+00');
INSERT INTO public.mr_registry VALUES (1, '2a70e498-e53e-4271-8e33-77e20101c3a6', '2026-12-02 13:14:08.141807+00', '0001', 5, '2026-12-02 13:14:08.351738+00');
INSERT INTO public.mr_resolution VALUES (1, 'try 2', '8293d091c9c3e0206f38204980cf107c', 'default', 'scoring', 'run 1', 'predict', -1, 1, 'iris', 'production', 'iris[production]', 2, NULL, NULL, true, false, 5, '2026-12-02 13:14:08.393728+00');
INSERT INTO public.mr_resolution VALUES (2, 'try 2', '90430729b813a7507c25a413fe58e80a', 'default', 'scoring', 'run 1', 'predict', -1, 1, 'iris', 'production', 'iris[production]', 2, NULL, NULL, true, false, 5, '2026-12-02 13:14:08.394449+00');
INSERT INTO public.mr_run_pin VALUES ('default', 'scoring', 'run 1', 1, 'production', 2, '0 2026-01-02', '2026-12-02 13:14:08.387669+00');
INSERT INTO public.mr_run_version VALUES (2, 'default', 'training', 'run 1', 1, 0, '0');
INSERT INTO public.mr_stage VALUES (1, 'staging', 3, 3);
INSERT INTO public.mr_stage VALUES (1, 'production', 2, 5);
INSERT INTO public.mr_stage_event VALUES (1, 1, 'production', 1, NULL, NULL, NULL, '2026-12-02 13:14:08.274669+00', 'alice', 'the first', false, NULL, NULL, NULL, NULL);
INSERT INTO public.mr_stage_event VALUES (2, 1, 'production', 2, 1, 1, NULL, '2026-12-02 13:14:08.330991+00', 'bob', NULL, false, 'default', 'training', 'run 1', 'train');
INSERT INTO public.mr_stage_event VALUES (3, 1, 'staging', 3, NULL, NULL, NULL, '2026-12-02 13:14:08.342755+00', 'bob', NULL, false, NULL, NULL, NULL, NULL);
INSERT INTO public.mr_stage_event VALUES (4, 1, 'production', 3, 2, 2, NULL, '2026-12-02 13:14:08.345728+00', 'bob', NULL, false, NULL, NULL, NULL, NULL);
INSERT INTO public.mr_stage_event VALUES (5, 1, 'production', 2, 3, 1, 2, '2026-12-02 13:14:08.351738+00', 'carol', 'worse', false, NULL, NULL, NULL, NULL);
INSERT INTO public.mr_version VALUES (1, 1, 1, 'first', 'ready', '2026-12-02 13:14:08.255071+00', '2026-12-02 13:14:08.274669+00', NULL, NULL, NULL, NULL, 'by hand', '["a", "b"]', '{}');
INSERT INTO public.mr_version VALUES (2, 1, 2, NULL, 'ready', '2026-12-02 13:14:08.291666+00', '2026-12-02 13:14:08.330991+00', NULL, 'default', 'training', 'run 1', NULL, '[]', '{}');
INSERT INTO public.mr_version VALUES (3, 1, 3, 'third', 'ready', '2026-12-02 13:14:08.340128+00', '2026-12-02 13:14:08.342755+00', NULL, NULL, NULL, NULL, NULL, '[]', '{}');
INSERT INTO public.mr_version VALUES (4, 1, 4, NULL, 'deleted', '2026-12-02 13:14:08.353525+00', NULL, '2026-12-02 13:14:08.36805+00', NULL, NULL, NULL, NULL, '[]', '{}');
INSERT INTO public.mr_version VALUES (5, 1, 5, NULL, 'producing', '2026-12-02 13:14:08.373579+00', NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}');
INSERT INTO public.mr_version VALUES (6, 2, 1, NULL, 'ready', '2026-12-02 13:14:08.37936+00', NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}');
SELECT pg_catalog.setval('public.mr_artifact_id_seq', 4, true);
SELECT pg_catalog.setval('public.mr_artifact_version_id_seq', 4, true);
SELECT pg_catalog.setval('public.mr_model_id_seq', 2, true);
SELECT pg_catalog.setval('public.mr_resolution_id_seq', 2, true);
SELECT pg_catalog.setval('public.mr_version_id_seq', 6, true);
ALTER TABLE ONLY public.mr_alembic_version
    ADD CONSTRAINT mr_alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.mr_artifact
    ADD CONSTRAINT pk_mr_artifact PRIMARY KEY (id);
ALTER TABLE ONLY public.mr_artifact_version
    ADD CONSTRAINT pk_mr_artifact_version PRIMARY KEY (id);
ALTER TABLE ONLY public.mr_blob
    ADD CONSTRAINT pk_mr_blob PRIMARY KEY (digest);
ALTER TABLE ONLY public.mr_claim
    ADD CONSTRAINT pk_mr_claim PRIMARY KEY (deployment, dag_id, sequence);
ALTER TABLE ONLY public.mr_claim_run
    ADD CONSTRAINT pk_mr_claim_run PRIMARY KEY (deployment, dag_id, run_id);
ALTER TABLE ONLY public.mr_consumer
    ADD CONSTRAINT pk_mr_consumer PRIMARY KEY (deployment, dag_id, model, stage);
ALTER TABLE ONLY public.mr_link
    ADD CONSTRAINT pk_mr_link PRIMARY KEY (version_id, artifact_version_id);
ALTER TABLE ONLY public.mr_metadata
    ADD CONSTRAINT pk_mr_metadata PRIMARY KEY (version_id, key);
ALTER TABLE ONLY public.mr_model
    ADD CONSTRAINT pk_mr_model PRIMARY KEY (id);
ALTER TABLE ONLY public.mr_producer
    ADD CONSTRAINT pk_mr_producer PRIMARY KEY (version_id, task_id);
ALTER TABLE ONLY public.mr_registry
    ADD CONSTRAINT pk_mr_registry PRIMARY KEY (one);
ALTER TABLE ONLY public.mr_resolution
    ADD CONSTRAINT pk_mr_resolution PRIMARY KEY (id);
ALTER TABLE ONLY public.mr_run_pin
    ADD CONSTRAINT pk_mr_run_pin PRIMARY KEY (deployment, dag_id, run_id, model_id, selector);
ALTER TABLE ONLY public.mr_run_version
    ADD CONSTRAINT pk_mr_run_version PRIMARY KEY (version_id);
ALTER TABLE ONLY public.mr_stage
    ADD CONSTRAINT pk_mr_stage PRIMARY KEY (model_id, stage);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT pk_mr_stage_event PRIMARY KEY (sequence);
ALTER TABLE ONLY public.mr_version
    ADD CONSTRAINT pk_mr_version PRIMARY KEY (id);
ALTER TABLE ONLY public.mr_artifact
    ADD CONSTRAINT uq_mr_artifact_name UNIQUE (name);
ALTER TABLE ONLY public.mr_artifact_version
    ADD CONSTRAINT uq_mr_artifact_version_artifact_id_number UNIQUE (artifact_id, number);
ALTER TABLE ONLY public.mr_model
    ADD CONSTRAINT uq_mr_model_name UNIQUE (name);
ALTER TABLE ONLY public.mr_resolution
    ADD CONSTRAINT uq_mr_resolution_attempt_id_reference_key UNIQUE (attempt_id, reference_key);
ALTER TABLE ONLY public.mr_run_version
    ADD CONSTRAINT uq_mr_run_version_run UNIQUE (deployment, dag_id, run_id, model_id, generation);
ALTER TABLE ONLY public.mr_version
    ADD CONSTRAINT uq_mr_version_model_id_number UNIQUE (model_id, number);
CREATE INDEX ix_mr_artifact_version_digest ON public.mr_artifact_version USING btree (digest);
CREATE INDEX ix_mr_artifact_version_part_of ON public.mr_artifact_version USING btree (part_of) WHERE (part_of IS NOT NULL);
CREATE INDEX ix_mr_artifact_version_run ON public.mr_artifact_version USING btree (deployment, dag_id, run_id, task_id);
CREATE INDEX ix_mr_claim_run ON public.mr_claim USING btree (deployment, dag_id, run_id);
CREATE INDEX ix_mr_claim_sequence ON public.mr_claim USING btree (sequence);
CREATE INDEX ix_mr_link_artifact_version_id ON public.mr_link USING btree (artifact_version_id);
CREATE INDEX ix_mr_link_newest ON public.mr_link USING btree (version_id, name, sealed, own, artifact_version_id);
CREATE INDEX ix_mr_link_newest_mapped ON public.mr_link USING btree (version_id, name, map_index, sealed, own, artifact_version_id);
CREATE INDEX ix_mr_resolution_artifact_version_id ON public.mr_resolution USING btree (artifact_version_id);
CREATE INDEX ix_mr_resolution_model_id ON public.mr_resolution USING btree (model, id);
CREATE INDEX ix_mr_resolution_run ON public.mr_resolution USING btree (deployment, dag_id, run_id, id);
CREATE INDEX ix_mr_resolution_version_id_id ON public.mr_resolution USING btree (version_id, id);
CREATE INDEX ix_mr_run_pin_version_id ON public.mr_run_pin USING btree (version_id);
CREATE INDEX ix_mr_stage_event_model_id_stage_at ON public.mr_stage_event USING btree (model_id, stage, at);
CREATE INDEX ix_mr_stage_event_model_id_stage_sequence ON public.mr_stage_event USING btree (model_id, stage, sequence);
CREATE INDEX ix_mr_stage_event_version_id ON public.mr_stage_event USING btree (version_id);
CREATE INDEX ix_mr_version_ready ON public.mr_version USING btree (model_id, number) WHERE ((state)::text = 'ready'::text);
CREATE UNIQUE INDEX uq_mr_artifact_version_output ON public.mr_artifact_version USING btree (attempt_id, output, map_index) WHERE ((attempt_id IS NOT NULL) AND (output IS NOT NULL));
CREATE UNIQUE INDEX uq_mr_version_name ON public.mr_version USING btree (model_id, name) WHERE (name IS NOT NULL);
CREATE TRIGGER mr_artifact_has_bytes BEFORE INSERT ON public.mr_artifact_version FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_artifact_has_bytes();
CREATE TRIGGER mr_artifact_stays BEFORE UPDATE ON public.mr_artifact_version FOR EACH ROW WHEN ((((new.digest)::text <> (old.digest)::text) OR (new.number <> old.number) OR (new.artifact_id <> old.artifact_id) OR ((new.materializer)::text <> (old.materializer)::text) OR (new.format_version <> old.format_version) OR (new.attributes <> old.attributes) OR ((old.deleted_at IS NOT NULL) AND (new.deleted_at IS NULL)))) EXECUTE FUNCTION public.mr_artifact_stays();
CREATE TRIGGER mr_event_in_line BEFORE INSERT ON public.mr_stage_event FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_event_in_line();
CREATE TRIGGER mr_event_stays BEFORE DELETE OR UPDATE ON public.mr_stage_event FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_event_stays();
CREATE TRIGGER mr_line_grows BEFORE UPDATE ON public.mr_registry FOR EACH ROW WHEN (((new.last_sequence < old.last_sequence) OR (new.last_event_at < old.last_event_at))) EXECUTE FUNCTION public.mr_line_grows();
CREATE TRIGGER mr_model_stays BEFORE DELETE ON public.mr_model FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_model_stays();
CREATE TRIGGER mr_number_stays BEFORE UPDATE ON public.mr_version FOR EACH ROW WHEN (((new.number <> old.number) OR (new.model_id <> old.model_id) OR (((old.state)::text = 'deleted'::text) AND ((new.state)::text <> 'deleted'::text)) OR ((old.sealed_at IS NOT NULL) AND ((new.sealed_at IS NULL) OR (new.sealed_at <> old.sealed_at))) OR ((old.sealed_at IS NOT NULL) AND (old.name IS NOT NULL) AND ((new.name IS NULL) OR ((new.name)::text <> (old.name)::text))))) EXECUTE FUNCTION public.mr_number_stays();
CREATE TRIGGER mr_numbers_grow BEFORE UPDATE ON public.mr_model FOR EACH ROW WHEN ((new.last_number < old.last_number)) EXECUTE FUNCTION public.mr_numbers_grow();
CREATE TRIGGER mr_sealed_link_stays BEFORE DELETE OR UPDATE ON public.mr_link FOR EACH ROW WHEN (old.sealed) EXECUTE FUNCTION public.mr_sealed_link_stays();
CREATE TRIGGER mr_sealed_metadata_stay BEFORE DELETE OR UPDATE ON public.mr_metadata FOR EACH ROW WHEN (old.sealed) EXECUTE FUNCTION public.mr_sealed_metadata_stay();
CREATE TRIGGER mr_stage_follows AFTER INSERT ON public.mr_stage_event FOR EACH ROW EXECUTE FUNCTION public.mr_stage_follows();
CREATE TRIGGER mr_stage_is_last_event BEFORE INSERT OR UPDATE ON public.mr_stage FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_stage_is_last_event();
CREATE TRIGGER mr_stage_is_left_by_event BEFORE DELETE ON public.mr_stage FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_stage_is_left_by_event();
CREATE TRIGGER mr_tombstone_stays BEFORE DELETE ON public.mr_version FOR EACH ROW WHEN (true) EXECUTE FUNCTION public.mr_tombstone_stays();
CREATE TRIGGER mr_used_bytes_stay BEFORE UPDATE ON public.mr_blob FOR EACH ROW WHEN (((new.state)::text <> 'stored'::text)) EXECUTE FUNCTION public.mr_used_bytes_stay();
CREATE TRIGGER mr_used_version_stays BEFORE UPDATE ON public.mr_version FOR EACH ROW WHEN ((((new.state)::text = 'deleted'::text) AND ((old.state)::text <> 'deleted'::text))) EXECUTE FUNCTION public.mr_used_version_stays();
ALTER TABLE ONLY public.mr_artifact_version
    ADD CONSTRAINT fk_mr_artifact_version_artifact_id FOREIGN KEY (artifact_id) REFERENCES public.mr_artifact(id);
ALTER TABLE ONLY public.mr_artifact_version
    ADD CONSTRAINT fk_mr_artifact_version_digest FOREIGN KEY (digest) REFERENCES public.mr_blob(digest);
ALTER TABLE ONLY public.mr_artifact_version
    ADD CONSTRAINT fk_mr_artifact_version_part_of FOREIGN KEY (part_of) REFERENCES public.mr_artifact_version(id);
ALTER TABLE ONLY public.mr_claim
    ADD CONSTRAINT fk_mr_claim_sequence FOREIGN KEY (sequence) REFERENCES public.mr_stage_event(sequence);
ALTER TABLE ONLY public.mr_link
    ADD CONSTRAINT fk_mr_link_artifact_version_id FOREIGN KEY (artifact_version_id) REFERENCES public.mr_artifact_version(id);
ALTER TABLE ONLY public.mr_link
    ADD CONSTRAINT fk_mr_link_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_metadata
    ADD CONSTRAINT fk_mr_metadata_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_producer
    ADD CONSTRAINT fk_mr_producer_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_resolution
    ADD CONSTRAINT fk_mr_resolution_artifact_version_id FOREIGN KEY (artifact_version_id) REFERENCES public.mr_artifact_version(id);
ALTER TABLE ONLY public.mr_resolution
    ADD CONSTRAINT fk_mr_resolution_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_run_pin
    ADD CONSTRAINT fk_mr_run_pin_model_id FOREIGN KEY (model_id) REFERENCES public.mr_model(id);
ALTER TABLE ONLY public.mr_run_pin
    ADD CONSTRAINT fk_mr_run_pin_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_run_version
    ADD CONSTRAINT fk_mr_run_version_model_id FOREIGN KEY (model_id) REFERENCES public.mr_model(id);
ALTER TABLE ONLY public.mr_run_version
    ADD CONSTRAINT fk_mr_run_version_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT fk_mr_stage_event_behind FOREIGN KEY (behind) REFERENCES public.mr_stage_event(sequence);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT fk_mr_stage_event_model_id FOREIGN KEY (model_id) REFERENCES public.mr_model(id);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT fk_mr_stage_event_previous_version_id FOREIGN KEY (previous_version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT fk_mr_stage_event_restores FOREIGN KEY (restores) REFERENCES public.mr_stage_event(sequence);
ALTER TABLE ONLY public.mr_stage_event
    ADD CONSTRAINT fk_mr_stage_event_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_stage
    ADD CONSTRAINT fk_mr_stage_model_id FOREIGN KEY (model_id) REFERENCES public.mr_model(id);
ALTER TABLE ONLY public.mr_stage
    ADD CONSTRAINT fk_mr_stage_version_id FOREIGN KEY (version_id) REFERENCES public.mr_version(id);
ALTER TABLE ONLY public.mr_version
    ADD CONSTRAINT fk_mr_version_model_id FOREIGN KEY (model_id) REFERENCES public.mr_model(id);
