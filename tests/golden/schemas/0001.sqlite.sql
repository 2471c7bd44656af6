BEGIN TRANSACTION;
CREATE TABLE mr_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT mr_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "mr_alembic_version" VALUES('0001');
CREATE TABLE mr_artifact (
	id INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	last_number INTEGER NOT NULL, 
	CONSTRAINT pk_mr_artifact PRIMARY KEY (id), 
	CONSTRAINT uq_mr_artifact_name UNIQUE (name)
);
INSERT INTO "mr_artifact" VALUES(1,'trained_model',2);
INSERT INTO "mr_artifact" VALUES(2,'shards',2);
CREATE TABLE mr_artifact_version (
	id INTEGER NOT NULL, 
	artifact_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	materializer VARCHAR(100) NOT NULL, 
	format_version INTEGER NOT NULL, 
	type_names TEXT NOT NULL, 
	attributes TEXT NOT NULL, 
	signature TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	signed TEXT, 
	deployment TEXT, 
	dag_id TEXT, 
	run_id TEXT, 
	task_id TEXT, 
	map_index INTEGER NOT NULL, 
	try_number INTEGER, 
	attempt_id TEXT, 
	output TEXT, 
	part_of INTEGER, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	CONSTRAINT pk_mr_artifact_version PRIMARY KEY (id), 
	CONSTRAINT uq_mr_artifact_version_artifact_id_number UNIQUE (artifact_id, number), 
	CONSTRAINT fk_mr_artifact_version_artifact_id FOREIGN KEY(artifact_id) REFERENCES mr_artifact (id), 
	CONSTRAINT fk_mr_artifact_version_digest FOREIGN KEY(digest) REFERENCES mr_blob (digest), 
	CONSTRAINT fk_mr_artifact_version_part_of FOREIGN KEY(part_of) REFERENCES mr_artifact_version (id), 
	CONSTRAINT ck_mr_artifact_version_kind CHECK (kind IN ('model', 'data', 'deployment'))
);
INSERT INTO "mr_artifact_version" VALUES(1,1,1,'1111111111111111111111111111111111111111111111111111111111111111','model','json',1,'["builtins.dict"]','{"kind": "gr\u00f6\u00dfe"}','null','{"python": "3.11.7"}','{"digit": 1}',NULL,NULL,NULL,NULL,NULL,-1,NULL,NULL,NULL,NULL,'2026-12-02 13:14:08.016399',NULL);
INSERT INTO "mr_artifact_version" VALUES(2,1,2,'2222222222222222222222222222222222222222222222222222222222222222','model','json',1,'["builtins.dict"]','{"kind": "gr\u00f6\u00dfe"}','null','{"python": "3.11.7"}','{"digit": 2}',NULL,'default','training','run 1','train',-1,1,'try 1','trained_model',NULL,'2026-12-02 13:14:08.040477',NULL);
INSERT INTO "mr_artifact_version" VALUES(3,2,1,'3333333333333333333333333333333333333333333333333333333333333333','data','json',1,'["builtins.dict"]','{"kind": "gr\u00f6\u00dfe"}','null','{"python": "3.11.7"}','{"digit": 3}',NULL,'default','training','run 1','train',0,1,'try 1','shards',NULL,'2026-12-02 13:14:08.042818',NULL);
INSERT INTO "mr_artifact_version" VALUES(4,2,2,'4444444444444444444444444444444444444444444444444444444444444444','data','json',1,'["builtins.dict"]','{"kind": "gr\u00f6\u00dfe"}','null','{"python": "3.11.7"}','{"digit": 4}',NULL,'default','training','run 1','train',1,1,'try 1','shards',NULL,'2026-12-02 13:14:08.045340',NULL);
CREATE TABLE mr_blob (
	digest VARCHAR(64) NOT NULL, 
	size INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	touched_at DATETIME NOT NULL, 
	life INTEGER NOT NULL, 
	CONSTRAINT pk_mr_blob PRIMARY KEY (digest), 
	CONSTRAINT ck_mr_blob_state CHECK (state IN ('intended', 'stored', 'condemned', 'removed')), 
	CONSTRAINT ck_mr_blob_size CHECK (size >= 0)
);
INSERT INTO "mr_blob" VALUES('1111111111111111111111111111111111111111111111111111111111111111',1,'stored','2026-12-02 13:14:08.016159',2692917515249593351);
INSERT INTO "mr_blob" VALUES('2222222222222222222222222222222222222222222222222222222222222222',2,'stored','2026-12-02 13:14:08.040413',3308654565776326164);
INSERT INTO "mr_blob" VALUES('3333333333333333333333333333333333333333333333333333333333333333',3,'stored','2026-12-02 13:14:08.042765',200888670738512078);
INSERT INTO "mr_blob" VALUES('4444444444444444444444444444444444444444444444444444444444444444',4,'stored','2026-12-02 13:14:08.045302',2497954906418172390);
INSERT INTO "mr_blob" VALUES('ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',9,'intended','2026-12-02 13:14:08.094733',1115243532618410883);
CREATE TABLE mr_claim (
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	CONSTRAINT pk_mr_claim PRIMARY KEY (deployment, dag_id, sequence), 
	CONSTRAINT fk_mr_claim_sequence FOREIGN KEY(sequence) REFERENCES mr_stage_event (sequence)
);
CREATE TABLE mr_claim_run (
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_claim_run PRIMARY KEY (deployment, dag_id, run_id)
);
CREATE TABLE mr_consumer (
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	model VARCHAR(100) NOT NULL, 
	stage VARCHAR(100) NOT NULL, 
	delivered INTEGER NOT NULL, 
	claimed INTEGER NOT NULL, 
	CONSTRAINT pk_mr_consumer PRIMARY KEY (deployment, dag_id, model, stage)
);
CREATE TABLE mr_link (
	version_id INTEGER NOT NULL, 
	artifact_version_id INTEGER NOT NULL, 
	relation VARCHAR(16) NOT NULL, 
	own BOOLEAN NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	map_index INTEGER NOT NULL, 
	sealed BOOLEAN DEFAULT 0 NOT NULL, 
	linked_by TEXT, 
	CONSTRAINT pk_mr_link PRIMARY KEY (version_id, artifact_version_id), 
	CONSTRAINT fk_mr_link_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id), 
	CONSTRAINT fk_mr_link_artifact_version_id FOREIGN KEY(artifact_version_id) REFERENCES mr_artifact_version (id), 
	CONSTRAINT ck_mr_link_relation CHECK (relation IN ('output', 'derived', 'linked'))
);
INSERT INTO "mr_link" VALUES(1,1,'output',1,'trained_model',-1,1,NULL);
INSERT INTO "mr_link" VALUES(2,2,'output',1,'trained_model',-1,1,NULL);
INSERT INTO "mr_link" VALUES(2,3,'output',1,'shards',0,1,NULL);
INSERT INTO "mr_link" VALUES(2,4,'output',1,'shards',1,1,NULL);
CREATE TABLE mr_metadata (
	version_id INTEGER NOT NULL, 
	"key" VARCHAR(250) NOT NULL, 
	value TEXT NOT NULL, 
	sealed BOOLEAN DEFAULT 0 NOT NULL, 
	deployment TEXT, 
	dag_id TEXT, 
	run_id TEXT, 
	task_id TEXT, 
	map_index INTEGER, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_metadata PRIMARY KEY (version_id, "key"), 
	CONSTRAINT fk_mr_metadata_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id)
);
INSERT INTO "mr_metadata" VALUES(1,'accuracy','0.5',1,NULL,NULL,NULL,NULL,NULL,'2026-12-02 13:14:08.022781');
INSERT INTO "mr_metadata" VALUES(1,'notes','{"gr\u00f6\u00dfe": [1, null]}',1,NULL,NULL,NULL,NULL,NULL,'2026-12-02 13:14:08.022840');
INSERT INTO "mr_metadata" VALUES(2,'accuracy','0.75',1,'default','training','run 1','train',-1,'2026-12-02 13:14:08.052437');
INSERT INTO "mr_metadata" VALUES(2,'seen','7',0,NULL,NULL,NULL,NULL,NULL,'2026-12-02 13:14:08.061926');
CREATE TABLE mr_model (
	id INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	card TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	last_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	CONSTRAINT pk_mr_model PRIMARY KEY (id), 
	CONSTRAINT uq_mr_model_name UNIQUE (name)
);
INSERT INTO "mr_model" VALUES(1,'iris','{"description": "flowers", "license": "MIT"}','["demo"]',5,'2026-12-02 13:14:08.010734',NULL);
INSERT INTO "mr_model" VALUES(2,'rose','{}','[]',1,'2026-12-02 13:14:08.087462',NULL);
CREATE TABLE mr_producer (
	version_id INTEGER NOT NULL, 
	task_id TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	declares BOOLEAN NOT NULL, 
	attempt_id TEXT, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_producer PRIMARY KEY (version_id, task_id), 
	CONSTRAINT fk_mr_producer_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id), 
	CONSTRAINT ck_mr_producer_state CHECK (state IN ('pending', 'committed', 'failed', 'skipped'))
);
INSERT INTO "mr_producer" VALUES(2,'train','committed',1,NULL,'2026-12-02 13:14:08.055157');
CREATE TABLE mr_registry (
	one SMALLINT NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	oldest_code VARCHAR(32) NOT NULL, 
	last_sequence INTEGER NOT NULL, 
	last_event_at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_registry PRIMARY KEY (one), 
	CONSTRAINT ck_mr_registry_one_row CHECK (one = 1)
);
INSERT INTO "mr_registry" VALUES(1,'6464085c-4538-4c1c-acb9-4a94b0e6e04c','2026-12-02 13:14:07.977723','0001',5,'2026-12-02 13:14:08.069671');
CREATE TABLE mr_resolution (
	id INTEGER NOT NULL, 
	attempt_id TEXT NOT NULL, 
	reference_key VARCHAR(32) NOT NULL, 
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	task_id TEXT NOT NULL, 
	map_index INTEGER NOT NULL, 
	try_number INTEGER NOT NULL, 
	model VARCHAR(100), 
	selector VARCHAR(200), 
	wanted TEXT NOT NULL, 
	version_id INTEGER, 
	artifact_version_id INTEGER, 
	digest VARCHAR(64), 
	resolved BOOLEAN NOT NULL, 
	belongs BOOLEAN NOT NULL, 
	sequence INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_resolution PRIMARY KEY (id), 
	CONSTRAINT uq_mr_resolution_attempt_id_reference_key UNIQUE (attempt_id, reference_key), 
	CONSTRAINT fk_mr_resolution_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id), 
	CONSTRAINT fk_mr_resolution_artifact_version_id FOREIGN KEY(artifact_version_id) REFERENCES mr_artifact_version (id)
);
INSERT INTO "mr_resolution" VALUES(1,'try 2','8293d091c9c3e0206f38204980cf107c','default','scoring','run 1','predict',-1,1,'iris','production','iris[production]',2,NULL,NULL,1,0,5,'2026-12-02 13:14:08.093644');
INSERT INTO "mr_resolution" VALUES(2,'try 2','90430729b813a7507c25a413fe58e80a','default','scoring','run 1','predict',-1,1,'iris','production','iris[production]',2,NULL,NULL,1,0,5,'2026-12-02 13:14:08.093697');
CREATE TABLE mr_run_pin (
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	model_id INTEGER NOT NULL, 
	selector VARCHAR(200) NOT NULL, 
	version_id INTEGER, 
	run_mark TEXT, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_mr_run_pin PRIMARY KEY (deployment, dag_id, run_id, model_id, selector), 
	CONSTRAINT fk_mr_run_pin_model_id FOREIGN KEY(model_id) REFERENCES mr_model (id), 
	CONSTRAINT fk_mr_run_pin_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id)
);
INSERT INTO "mr_run_pin" VALUES('default','scoring','run 1',1,'production',2,'0 2026-01-02','2026-12-02 13:14:08.091568');
CREATE TABLE mr_run_version (
	version_id INTEGER NOT NULL, 
	deployment TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	model_id INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	run_mark TEXT, 
	CONSTRAINT pk_mr_run_version PRIMARY KEY (version_id), 
	CONSTRAINT uq_mr_run_version_run UNIQUE (deployment, dag_id, run_id, model_id, generation), 
	CONSTRAINT fk_mr_run_version_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id), 
	CONSTRAINT fk_mr_run_version_model_id FOREIGN KEY(model_id) REFERENCES mr_model (id)
);
INSERT INTO "mr_run_version" VALUES(2,'default','training','run 1',1,0,'0');
CREATE TABLE mr_stage (
	model_id INTEGER NOT NULL, 
	stage VARCHAR(100) NOT NULL, 
	version_id INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	CONSTRAINT pk_mr_stage PRIMARY KEY (model_id, stage), 
	CONSTRAINT fk_mr_stage_model_id FOREIGN KEY(model_id) REFERENCES mr_model (id), 
	CONSTRAINT fk_mr_stage_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id)
);
INSERT INTO "mr_stage" VALUES(1,'staging',3,3);
INSERT INTO "mr_stage" VALUES(1,'production',2,5);
CREATE TABLE mr_stage_event (
	sequence INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	stage VARCHAR(100) NOT NULL, 
	version_id INTEGER, 
	previous_version_id INTEGER, 
	behind INTEGER, 
	restores INTEGER, 
	at DATETIME NOT NULL, 
	who TEXT, 
	reason TEXT, 
	quiet BOOLEAN DEFAULT 0 NOT NULL, 
	deployment TEXT, 
	dag_id TEXT, 
	run_id TEXT, 
	task_id TEXT, 
	CONSTRAINT pk_mr_stage_event PRIMARY KEY (sequence), 
	CONSTRAINT fk_mr_stage_event_model_id FOREIGN KEY(model_id) REFERENCES mr_model (id), 
	CONSTRAINT fk_mr_stage_event_version_id FOREIGN KEY(version_id) REFERENCES mr_version (id), 
	CONSTRAINT fk_mr_stage_event_previous_version_id FOREIGN KEY(previous_version_id) REFERENCES mr_version (id), 
	CONSTRAINT fk_mr_stage_event_behind FOREIGN KEY(behind) REFERENCES mr_stage_event (sequence), 
	CONSTRAINT fk_mr_stage_event_restores FOREIGN KEY(restores) REFERENCES mr_stage_event (sequence)
);
INSERT INTO "mr_stage_event" VALUES(1,1,'production',1,NULL,NULL,NULL,'2026-12-02 13:14:08.024778','alice','the first',0,NULL,NULL,NULL,NULL);
INSERT INTO "mr_stage_event" VALUES(2,1,'production',2,1,1,NULL,'2026-12-02 13:14:08.058314','bob',NULL,0,'default','training','run 1','train');
INSERT INTO "mr_stage_event" VALUES(3,1,'staging',3,NULL,NULL,NULL,'2026-12-02 13:14:08.065463','bob',NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "mr_stage_event" VALUES(4,1,'production',3,2,2,NULL,'2026-12-02 13:14:08.066753','bob',NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "mr_stage_event" VALUES(5,1,'production',2,3,1,2,'2026-12-02 13:14:08.069671','carol','worse',0,NULL,NULL,NULL,NULL);
CREATE TABLE mr_version (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	name VARCHAR(100), 
	state VARCHAR(16) NOT NULL, 
	created_at DATETIME NOT NULL, 
	sealed_at DATETIME, 
	deleted_at DATETIME, 
	deployment TEXT, 
	dag_id TEXT, 
	run_id TEXT, 
	description TEXT, 
	tags TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	CONSTRAINT pk_mr_version PRIMARY KEY (id), 
	CONSTRAINT uq_mr_version_model_id_number UNIQUE (model_id, number), 
	CONSTRAINT fk_mr_version_model_id FOREIGN KEY(model_id) REFERENCES mr_model (id), 
	CONSTRAINT ck_mr_version_number CHECK (number > 0), 
	CONSTRAINT ck_mr_version_state CHECK (state IN ('producing', 'ready', 'failed', 'deleted'))
);
INSERT INTO "mr_version" VALUES(1,1,1,'first','ready','2026-12-02 13:14:08.013901','2026-12-02 13:14:08.024778',NULL,NULL,NULL,NULL,'by hand','["a", "b"]','{}');
INSERT INTO "mr_version" VALUES(2,1,2,NULL,'ready','2026-12-02 13:14:08.036120','2026-12-02 13:14:08.058314',NULL,'default','training','run 1',NULL,'[]','{}');
INSERT INTO "mr_version" VALUES(3,1,3,'third','ready','2026-12-02 13:14:08.064121','2026-12-02 13:14:08.065463',NULL,NULL,NULL,NULL,NULL,'[]','{}');
INSERT INTO "mr_version" VALUES(4,1,4,NULL,'deleted','2026-12-02 13:14:08.070968',NULL,'2026-12-02 13:14:08.080412',NULL,NULL,NULL,NULL,'[]','{}');
INSERT INTO "mr_version" VALUES(5,1,5,NULL,'producing','2026-12-02 13:14:08.084038',NULL,NULL,NULL,NULL,NULL,NULL,'[]','{}');
INSERT INTO "mr_version" VALUES(6,2,1,NULL,'ready','2026-12-02 13:14:08.088100',NULL,NULL,NULL,NULL,NULL,NULL,'[]','{}');
CREATE UNIQUE INDEX uq_mr_version_name ON mr_version (model_id, name) WHERE name IS NOT NULL;
CREATE INDEX ix_mr_version_ready ON mr_version (model_id, number) WHERE state = 'ready';
CREATE INDEX ix_mr_stage_event_model_id_stage_sequence ON mr_stage_event (model_id, stage, sequence);
CREATE INDEX ix_mr_stage_event_model_id_stage_at ON mr_stage_event (model_id, stage, at);
CREATE INDEX ix_mr_stage_event_version_id ON mr_stage_event (version_id);
CREATE INDEX ix_mr_artifact_version_digest ON mr_artifact_version (digest);
CREATE INDEX ix_mr_artifact_version_run ON mr_artifact_version (deployment, dag_id, run_id, task_id);
CREATE UNIQUE INDEX uq_mr_artifact_version_output ON mr_artifact_version (attempt_id, output, map_index) WHERE attempt_id IS NOT NULL AND output IS NOT NULL;
CREATE INDEX ix_mr_artifact_version_part_of ON mr_artifact_version (part_of) WHERE part_of IS NOT NULL;
CREATE INDEX ix_mr_link_newest ON mr_link (version_id, name, sealed, own, artifact_version_id);
CREATE INDEX ix_mr_link_newest_mapped ON mr_link (version_id, name, map_index, sealed, own, artifact_version_id);
CREATE INDEX ix_mr_link_artifact_version_id ON mr_link (artifact_version_id);
CREATE INDEX ix_mr_resolution_version_id_id ON mr_resolution (version_id, id);
CREATE INDEX ix_mr_resolution_artifact_version_id ON mr_resolution (artifact_version_id);
CREATE INDEX ix_mr_resolution_model_id ON mr_resolution (model, id);
CREATE INDEX ix_mr_resolution_run ON mr_resolution (deployment, dag_id, run_id, id);
CREATE INDEX ix_mr_run_pin_version_id ON mr_run_pin (version_id);
CREATE INDEX ix_mr_claim_run ON mr_claim (deployment, dag_id, run_id);
CREATE INDEX ix_mr_claim_sequence ON mr_claim (sequence);
CREATE TRIGGER mr_stage_follows AFTER INSERT ON mr_stage_event BEGIN
  DELETE FROM mr_stage WHERE model_id = NEW.model_id AND stage = NEW.stage;
  INSERT INTO mr_stage (model_id, stage, version_id, sequence)
    SELECT NEW.model_id, NEW.stage, NEW.version_id, NEW.sequence WHERE NEW.version_id IS NOT NULL;
  UPDATE mr_link SET sealed = TRUE WHERE version_id = NEW.version_id
    AND EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND v.sealed_at IS NULL);
  UPDATE mr_metadata SET sealed = TRUE WHERE version_id = NEW.version_id
    AND EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND v.sealed_at IS NULL);
  UPDATE mr_version SET sealed_at = NEW.at WHERE id = NEW.version_id AND sealed_at IS NULL;
END;
CREATE TRIGGER mr_event_stays_update BEFORE UPDATE ON mr_stage_event WHEN (TRUE) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'the history of stages is never edited'); END;
CREATE TRIGGER mr_event_stays_delete BEFORE DELETE ON mr_stage_event WHEN (TRUE) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'the history of stages is never edited'); END;
CREATE TRIGGER mr_event_in_line_insert BEFORE INSERT ON mr_stage_event WHEN (TRUE) AND (NEW.sequence <> (SELECT r.last_sequence FROM mr_registry r) OR EXISTS (SELECT 1 FROM mr_version v WHERE v.id = NEW.version_id AND (v.model_id <> NEW.model_id OR v.state = 'deleted'))) BEGIN SELECT RAISE(ABORT, 'an event takes the next sequence number, and a version of its own model that is not deleted'); END;
CREATE TRIGGER mr_line_grows_update BEFORE UPDATE ON mr_registry WHEN (NEW.last_sequence < OLD.last_sequence OR NEW.last_event_at < OLD.last_event_at) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'the history of stages only grows'); END;
CREATE TRIGGER mr_stage_is_last_event_insert BEFORE INSERT ON mr_stage WHEN (TRUE) AND (NEW.sequence <> coalesce((SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = NEW.model_id AND l.stage = NEW.stage), 0) OR NOT EXISTS (
  SELECT 1 FROM mr_stage_event e WHERE e.sequence = NEW.sequence AND +e.version_id = NEW.version_id
)) BEGIN SELECT RAISE(ABORT, 'a stage points to what its last event says'); END;
CREATE TRIGGER mr_stage_is_last_event_update BEFORE UPDATE ON mr_stage WHEN (TRUE) AND (NEW.sequence <> coalesce((SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = NEW.model_id AND l.stage = NEW.stage), 0) OR NOT EXISTS (
  SELECT 1 FROM mr_stage_event e WHERE e.sequence = NEW.sequence AND +e.version_id = NEW.version_id
)) BEGIN SELECT RAISE(ABORT, 'a stage points to what its last event says'); END;
CREATE TRIGGER mr_stage_is_left_by_event_delete BEFORE DELETE ON mr_stage WHEN (TRUE) AND (OLD.sequence >= coalesce((SELECT max(l.sequence) FROM mr_stage_event l WHERE l.model_id = OLD.model_id AND l.stage = OLD.stage), 0)) BEGIN SELECT RAISE(ABORT, 'a stage is left by an event only'); END;
CREATE TRIGGER mr_number_stays_update BEFORE UPDATE ON mr_version WHEN (NEW.number <> OLD.number OR NEW.model_id <> OLD.model_id OR (OLD.state = 'deleted' AND NEW.state <> 'deleted') OR (OLD.sealed_at IS NOT NULL AND (NEW.sealed_at IS NULL OR NEW.sealed_at <> OLD.sealed_at)) OR (OLD.sealed_at IS NOT NULL AND OLD.name IS NOT NULL AND (NEW.name IS NULL OR NEW.name <> OLD.name))) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'a version keeps its number, its seal and the name under it, and a deleted one stays deleted'); END;
CREATE TRIGGER mr_used_version_stays_update BEFORE UPDATE ON mr_version WHEN (NEW.state = 'deleted' AND OLD.state <> 'deleted') AND (EXISTS (SELECT 1 FROM mr_stage s WHERE s.model_id = OLD.model_id AND s.version_id = OLD.id) OR EXISTS (SELECT 1 FROM mr_run_pin p WHERE p.version_id = OLD.id)) BEGIN SELECT RAISE(ABORT, 'a version that is in a stage or pinned by a run is not deleted'); END;
CREATE TRIGGER mr_tombstone_stays_delete BEFORE DELETE ON mr_version WHEN (TRUE) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'of a version a tombstone stays'); END;
CREATE TRIGGER mr_numbers_grow_update BEFORE UPDATE ON mr_model WHEN (NEW.last_number < OLD.last_number) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'no version number is used twice'); END;
CREATE TRIGGER mr_model_stays_delete BEFORE DELETE ON mr_model WHEN (TRUE) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'of a model its numbers stay'); END;
CREATE TRIGGER mr_sealed_link_stays_update BEFORE UPDATE ON mr_link WHEN (OLD.sealed) AND (EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'what a version held when it was first promoted stays'); END;
CREATE TRIGGER mr_sealed_link_stays_delete BEFORE DELETE ON mr_link WHEN (OLD.sealed) AND (EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'what a version held when it was first promoted stays'); END;
CREATE TRIGGER mr_sealed_metadata_stay_update BEFORE UPDATE ON mr_metadata WHEN (OLD.sealed) AND (EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'what was known of a version when it was first promoted stays'); END;
CREATE TRIGGER mr_sealed_metadata_stay_delete BEFORE DELETE ON mr_metadata WHEN (OLD.sealed) AND (EXISTS (SELECT 1 FROM mr_version v WHERE v.id = OLD.version_id AND v.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'what was known of a version when it was first promoted stays'); END;
CREATE TRIGGER mr_artifact_has_bytes_insert BEFORE INSERT ON mr_artifact_version WHEN (TRUE) AND (NOT EXISTS (SELECT 1 FROM mr_blob b WHERE b.digest = NEW.digest AND b.state = 'stored')) BEGIN SELECT RAISE(ABORT, 'an artifact version points to stored bytes'); END;
CREATE TRIGGER mr_artifact_stays_update BEFORE UPDATE ON mr_artifact_version WHEN (NEW.digest <> OLD.digest OR NEW.number <> OLD.number OR NEW.artifact_id <> OLD.artifact_id OR NEW.materializer <> OLD.materializer OR NEW.format_version <> OLD.format_version OR NEW.attributes <> OLD.attributes OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL)) AND (TRUE) BEGIN SELECT RAISE(ABORT, 'what an artifact version holds never changes'); END;
CREATE TRIGGER mr_used_bytes_stay_update BEFORE UPDATE ON mr_blob WHEN (NEW.state <> 'stored') AND (EXISTS (SELECT 1 FROM mr_artifact_version a WHERE a.digest = OLD.digest AND a.deleted_at IS NULL)) BEGIN SELECT RAISE(ABORT, 'bytes that an artifact version points to stay'); END;
COMMIT;
