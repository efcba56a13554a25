BEGIN TRANSACTION;
CREATE TABLE sessionry_approval (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    run integer not null references sessionry_run (key) on delete cascade,
    question text not null,
    status text not null,
    tool_name text not null,
    tool_input text not null,
    tool_call_id text,
    reason text,
    requested_at integer not null,
    expires_at integer,
    decided_at integer,
    decided_by text,
    note text,
    unique (run, question)
);
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a22269e4ba7acc873cb4262d455551',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000047000000,1769000047000000,1760000048000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a22269e4e3742ea92c22a81d76deb0',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000054000000,1769000054000000,1760000055000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a22269e51479f7b5e5ac5d3b30b1cb',16,8,'open','pending','rm','null',NULL,NULL,1760000061000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a22269e5227dcaa55bf690c0723662',17,9,'open','pending','rm','null',NULL,NULL,1760000065000000,NULL,NULL,NULL,NULL);
CREATE TABLE sessionry_event (
    position integer primary key autoincrement,
    session integer not null,
    seq integer not null,
    run integer,
    fence integer not null,
    type text not null,
    at integer not null,
    id blob not null,
    actor text,
    correlation text,
    causation text,
    schema integer not null,
    data text not null
);
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000003000000,X'01A22269E29875C68B84E83B816B3373','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}');
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000004000000,X'01A22269E2A6785099C2D3179F2AF12B','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a22269e29774afa2de6c1f833f21d8","context":{"system":"be brief"},"slots":2,"queue_limit":5}');
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000005000000,X'01A22269E2AB79128ED30C0FD28DB12F',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}');
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000006000000,X'01A22269E2C27DB0862EDA9C890A4DF6',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000007000000,X'01A22269E2CA7D9A97A8BA74912D3A57',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000008000000,X'01A22269E2D67B50B6C7D602CC910E20',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000009000000,X'01A22269E2DE74C38FB5B76733ECC6A0',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000010000000,X'01A22269E2E9783E869E971FE75AE16F',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000011000000,X'01A22269E2F2759689F80A663F5B633B',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000012000000,X'01A22269E309731A8C6C8027E11E7F6D',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000013000000,X'01A22269E31E7802B15F07FD5269FE7F',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000014000000,X'01A22269E33378A5A316AAC35D4AD982',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000015000000,X'01A22269E34179DD99FC9D9A5D05A290',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000016000000,X'01A22269E3517BE2AF3F4B52EACE3F45',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000017000000,X'01A22269E362703491F7FE7B93694888',NULL,NULL,NULL,1,'{"reason":"no"}');
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000018000000,X'01A22269E36E7DBDAB5EE29178A8AB5B',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000019000000,X'01A22269E37472D7ADE7CF3E80695730',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}');
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000020000000,X'01A22269E37E7A859564B76395A15922',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}');
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000021000000,X'01A22269E38B70ACA1EA3AA3CCD72A6F',NULL,NULL,NULL,1,'{"reason":"test"}');
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000022000000,X'01A22269E39578C5A2F50939FB82C720',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000023000000,X'01A22269E3A276A2BBCF689ECA281725',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000023000000,X'01A22269E3A277BFB277E217DB02794C',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000024000000,X'01A22269E3B675BD8C832E1173B2D907',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000025000000,X'0199C82D21A876B79BDA6BCAF5290E55',NULL,NULL,NULL,1,'{"text":"you "}');
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000025000000,X'0199C82D21A878A0BC5AE41FC90D3F0D',NULL,NULL,NULL,1,'{"text":"said"}');
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000025000000,X'0199C82D21A870C9831F2B721390D57C',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}');
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000025000000,X'0199C82D21A876B6A2F2C26966BFCF78',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}');
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000025000000,X'0199C82D21A871E08E7FBF3220F3D55D',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}');
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000025000000,X'0199C82D21A879DBAE530405891BEC8F',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}');
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000025000000,X'0199C82D21A879728C7F89ACA0B48A75',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}');
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000025000000,X'0199C82D21A87F629AE000EB39586BAC',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}');
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000026000000,X'01A22269E3CE7BE5808D39E64F4B099A',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}');
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000026000000,X'01A22269E3CF7DB4989D3CB7FC2D9EB6',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}');
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000026000000,X'01A22269E3CF7AAFA8314A1B84A3CD1B',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000027000000,X'01A22269E3DF7B53B989B2FBA718AA8C',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}');
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000027000000,X'01A22269E3DF7CC3A06A8D91118008C9',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}');
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000028000000,X'01A22269E3E679AE9DFF723F3D1E69E8',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000029000000,X'01A22269E3ED7D9F8F1A7EB8D2A27583',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000029000000,X'01A22269E3ED700DAAF8580D172D499F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000030000000,X'01A22269E3F37CA9B5F136001423EDD2',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000031000000,X'01A22269E3FA738B8692D4BD9F636664',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}');
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000032000000,X'01A22269E3FF7308BD4E8E0232C41145',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000033000000,X'01A22269E40971B6BD48AF201E1D26E8',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000033000000,X'01A22269E40A7C369FF85050F62881DD',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000034000000,X'01A22269E4117E478D0E964AB8B10ED1',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000035000000,X'01A22269E4177CB6B7A38F7435EB4148',NULL,NULL,NULL,1,'{"reason":"stop"}');
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000036000000,X'01A22269E4267CDD8CEA8D41A138E4A0',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000037000000,X'01A22269E42E770886AE673085A58D7D',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000037000000,X'01A22269E42E7DB69C2051E27961EE51',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000038000000,X'01A22269E43A7FAEB573EA9324FBBCE5',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000039000000,X'01A22269E44677B5AD60A70CF5B057A8',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}');
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000040000000,X'01A22269E4567A12A12923E22385EB59',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000041000000,X'01A22269E45A7D6C939B50BF2C1B6376',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000041000000,X'01A22269E45A71BC8BC000D0F7CF8413',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000042000000,X'01A22269E4677516B08F43E340CA0417',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000043000000,X'01A22269E46F71E58804DAA737621833',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}');
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000043000000,X'01A22269E4707F349BABAE06D5A0893B',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}');
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000044000000,X'01A22269E4767273AB4CBA97AF654503',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000045000000,X'01A22269E48278F1B181E980D71A8531',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000045000000,X'01A22269E4827681BC6BAC38A79AC83F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000046000000,X'01A22269E4A674B59A2F88D2738EABF9',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000047000000,X'01A22269E4BA76379DFC151E0B62ED0E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4ba7acc873cb4262d455551","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:07Z"}');
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000047000000,X'01A22269E4BA7956845DEFAD159218AF',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4ba7acc873cb4262d455551"}');
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000048000000,X'01A22269E4C07860888415D2098F19A5','ann',NULL,NULL,1,'{"approval_id":"apr_01a22269e4ba7acc873cb4262d455551","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000049000000,X'01A22269E4C37E199A66F3A2089A0B50',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4ba7acc873cb4262d455551"}');
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000050000000,X'01A22269E4CC770F93C2C620E33C3D7D',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000051000000,X'01A22269E4D67AB280BB2CACAC29C1F6',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000052000000,X'01A22269E4DB7625B8816A260372737B',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000052000000,X'01A22269E4DB7886B0D89ADB203DF3AA',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000053000000,X'01A22269E4DF79049AA9FD89C2239199',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000054000000,X'01A22269E4E3790BA5C05088E41BE751',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4e3742ea92c22a81d76deb0","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:14Z"}');
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000054000000,X'01A22269E4E370678F8286F249703F1D',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4e3742ea92c22a81d76deb0"}');
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000055000000,X'01A22269E4E7758B9E1899EF859E02BF','ann',NULL,NULL,1,'{"approval_id":"apr_01a22269e4e3742ea92c22a81d76deb0","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000056000000,X'01A22269E4EF720C91DCEE17268A0E7B',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e4e3742ea92c22a81d76deb0"}');
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000057000000,X'01A22269E4F6787499479D26A456196E',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000058000000,X'01A22269E4FA7D9FAB43F0AA9434FC33',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000059000000,X'01A22269E5027395B1CA0A0B647A17B1',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000059000000,X'01A22269E5027F1CA208FA35B0BC29B7',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000060000000,X'01A22269E50B7478B9DC99312825E71F',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000061000000,X'01A22269E5147250840D97DF924D7B7F',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e51479f7b5e5ac5d3b30b1cb","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000061000000,X'01A22269E5147D0397744C02A6430B9E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e51479f7b5e5ac5d3b30b1cb"}');
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000062000000,X'01A22269E51A7A1DBC727CE00FA62C1E',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000063000000,X'01A22269E51E713A8167CB3EA141BC45',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000063000000,X'01A22269E51E78EDAAF82B2A87B03D3C',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000064000000,X'01A22269E5207E12A884F16571DF81A4',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000065000000,X'01A22269E5227953BC60D912F4A6001C',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e5227dcaa55bf690c0723662","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000065000000,X'01A22269E5227959A6B775BDF91887BC',NULL,NULL,NULL,1,'{"approval_id":"apr_01a22269e5227dcaa55bf690c0723662"}');
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000066000000,X'01A22269E52772509B33B5AF9EAC2B4A',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}');
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000067000000,X'01A22269E5297360BBD609F7654AB71D',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000068000000,X'01A22269E52E7A6A81CBC2545E4AA405',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000068000000,X'01A22269E52E781D87AE338285D03D99',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000069000000,X'01A22269E53775829952537259AE04E8',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000070000000,X'0199C82DD1707B4983CC6BB407716AF9',NULL,NULL,NULL,1,'{"text":"at work"}');
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000071000000,X'01A22269E53C73CDB8D5202F29D7353D',NULL,NULL,NULL,1,'{"text":"hurry"}');
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000072000000,X'01A22269E53F7F2BA0C7D909D11549B2',NULL,NULL,NULL,1,'{"reason":"slow"}');
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000073000000,X'01A22269E5417491B81947EC09C6315B',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000074000000,X'01A22269E5477A058703F5A6E1CD21E5',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000074000000,X'01A22269E54771CA86E8E03CB726C241',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}');
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000075000000,X'01A22269E5487CE8BFC37C8FB6F1B1AC',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}');
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000076000000,X'01A22269E54E7BA0A205277B599FEB82',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000078000000,X'01A22269E54F737DAA0FFB159E49B823',NULL,NULL,NULL,1,'{"title":"Once"}');
CREATE TABLE sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','862a8ca5d7c1d0455ab30c4f81f8b59b631d3034a843264fab5568eb1c4adeba','{"session":"ses_01a22269e54d7ae48d7f9370d344fca9","run":null,"approval":null,"seqs":[2]}',1760000077000000);
CREATE TABLE sessionry_run (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    first_seq integer not null,
    last_seq integer, -- null until the run has ended
    status text not null,
    agent_id text not null,
    priority integer not null,
    ready integer not null default 0,
    slot integer,
    attempt integer not null,
    fence integer not null,
    delivery integer not null default 0,
    worker text,
    input text not null,
    output text not null,
    error text,
    metadata text not null,
    options text not null,
    agent text,
    cancel text,
    usage text not null,
    cost text,
    turn_count integer not null,
    created_at integer not null,
    updated_at integer not null,
    started_at integer,
    ended_at integer,
    deadline_at integer,
    pruned integer not null default 0, queue text not null default 'default',
    check ((status in ('running', 'waiting')) = (slot is not null))
);
INSERT INTO "sessionry_run" VALUES(1,'run_01a22269e3a27f7c91b95bf6072f4d0f',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000023000000,1760000027000000,1760000024000000,1760000027000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(2,'run_01a22269e3ed7b2485c6cd48d23200a1',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000029000000,1760000031000000,1760000030000000,1760000031000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(3,'run_01a22269e40a7e73919c74354e090b52',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000033000000,1760000035000000,1760000034000000,1760000035000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(4,'run_01a22269e42e76c68e7fc607ef15d5a2',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000037000000,1760000039000000,1760000038000000,1760000039000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(5,'run_01a22269e45a7e8696ead507dc7f91c6',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000041000000,1760000043000001,1760000042000000,1760000043000001,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(6,'run_01a22269e4827ba28af4b269bddb9e8f',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000045000000,1760000050000000,1760000046000000,1760000050000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(7,'run_01a22269e4db7a6096fa3674b3eef4b3',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000052000000,1760000057000000,1760000053000000,1760000057000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(8,'run_01a22269e5027964aeb1119263175412',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000059000000,1760000061000000,1760000060000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(9,'run_01a22269e51e7023865a9579a9564294',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000063000000,1760000066000000,1760000064000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(10,'run_01a22269e52e7d2c8ac2f90e4fe143a8',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000068000000,1760000072000000,1760000069000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(11,'run_01a22269e5477383920e8e4f88601cad',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000074000000,1760000074000000,NULL,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(12,'run_01a22269e54879a4b27c435685e1bc21',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000075000000,1760000075000000,NULL,NULL,NULL,0,'default');
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795873694301153);
INSERT INTO "sessionry_schema" VALUES(2,'tokens',1795873694301435);
INSERT INTO "sessionry_schema" VALUES(3,'queues',1795873694317308);
INSERT INTO "sessionry_schema" VALUES(4,'usage',1795873694317593);
CREATE TABLE sessionry_session (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text,
    agent_id text not null,
    status text not null,
    parent integer references sessionry_session (key) on delete set null,
    parent_id text,
    title text,
    title_folded text,
    cwd text,
    metadata text not null,
    context text not null,
    tags text not null,
    slots integer not null check (slots >= 1),
    queue_limit integer not null check (queue_limit >= 0),
    fence integer not null default 0,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    version integer not null
);
INSERT INTO "sessionry_session" VALUES(1,'ses_01a22269e29774afa2de6c1f833f21d8','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000003000000,1760000005000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a22269e2a678899ed63b812c47b4d5','local','ann','echo','pending',1,'ses_01a22269e29774afa2de6c1f833f21d8',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000004000000,1760000004000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a22269e2c27e44b8dc906763112620','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000006000000,1760000008000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a22269e2de7b60adc2e649870c31a1','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000009000000,1760000012000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a22269e31e74c88c547fc66474c262','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000013000000,1760000015000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a22269e3517391b494f688dc8cb5ec','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000016000000,1760000017000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a22269e36e77d487701913bb3f60a8','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000018000000,1760000019000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a22269e37e776ba418bca9aeecad54','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000020000000,1760000021000000,1760000021000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a22269e3957b928d4ec73072594982','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000022000000,1760000027000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a22269e3e679be84997189cdcd42b0','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000028000000,1760000031000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a22269e3fe704091ac802e2a4b2010','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000032000000,1760000035000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a22269e4237203a22fea3fa2b2ce10','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000036000000,1760000039000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a22269e4537598b39da97cf68e99ad','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000040000000,1760000043000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a22269e476741eb973709a318e42df','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000044000000,1760000050000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a22269e4d676c88b124802e338ab6e','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000051000000,1760000057000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a22269e4fa7124a431e5174e064780','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000058000000,1760000061000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a22269e516700498fc66b9a0b6cd6d','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000062000000,1760000065000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a22269e529793cb9f0c910fd5ca7cf','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000067000000,1760000069000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a22269e5407c47b892ef04e5fccca8','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000073000000,1760000075000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a22269e54d7ae48d7f9370d344fca9','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000076000000,1760000078000000,NULL,2);
CREATE TABLE sessionry_setting (
    name text primary key,
    value text not null
) without rowid;
INSERT INTO "sessionry_setting" VALUES('global_slots','100');
CREATE TABLE sessionry_tag (
    tag text not null,
    session integer not null references sessionry_session (key) on delete cascade,
    primary key (tag, session)
) without rowid;
INSERT INTO "sessionry_tag" VALUES('b c',1);
INSERT INTO "sessionry_tag" VALUES('d',1);
CREATE TABLE sessionry_token (
    key integer primary key autoincrement,
    id text not null unique,
    hash text not null unique, -- SHA-256, hexadecimal
    name text not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    scopes text not null, -- a JSON list
    created_at integer not null,
    expires_at integer,
    revoked_at integer
);
INSERT INTO "sessionry_token" VALUES(1,'tok_01a22269e2947cc6bc6f497acfbbbc03','f972e05fadbf18239224f231146d2162493089c7850d23b4c6a8fb33ad1d0b19','ci','local','ann','["run"]',1760000002000000,NULL,NULL);
CREATE TABLE sessionry_worker (
    id text primary key,
    host text not null,
    pid integer not null,
    process_start real not null,
    boot_id text not null,
    started_at integer not null,
    expires_at integer not null,
    slots integer not null,
    agents text not null,
    draining integer not null default 0
, queues text not null default '["default"]');
INSERT INTO "sessionry_worker" VALUES('wrk_sample','h',1,1.5,'b',1760000001000000,1760003601000000,3,'["echo"]',0,'["default"]');
CREATE INDEX sessionry_session_updated on sessionry_session (tenant, updated_at, key);
CREATE INDEX sessionry_session_created on sessionry_session (tenant, created_at, key);
CREATE INDEX sessionry_session_status on sessionry_session (tenant, status, updated_at, key);
CREATE INDEX sessionry_session_parent on sessionry_session (parent) where parent is not null;
CREATE INDEX sessionry_tag_session on sessionry_tag (session);
CREATE UNIQUE INDEX sessionry_run_slot on sessionry_run (session, slot) where slot is not null;
CREATE INDEX sessionry_run_session on sessionry_run (session, key);
CREATE INDEX sessionry_run_queue on sessionry_run (session, priority, key) where status = 'pending';
CREATE INDEX sessionry_run_ready on sessionry_run (priority, key) where ready = 1;
CREATE INDEX sessionry_run_worker on sessionry_run (worker) where worker is not null;
CREATE INDEX sessionry_run_deadline on sessionry_run (deadline_at) where deadline_at is not null;
CREATE INDEX sessionry_run_status on sessionry_run (status, key);
CREATE INDEX sessionry_run_unpruned on sessionry_run (ended_at) where pruned = 0 and ended_at is not null;
CREATE UNIQUE INDEX sessionry_event_seq on sessionry_event (session, seq);
CREATE INDEX sessionry_approval_pending on sessionry_approval (status, key);
CREATE INDEX sessionry_approval_session on sessionry_approval (session, key);
CREATE INDEX sessionry_token_tenant on sessionry_token (tenant, key);
CREATE INDEX sessionry_run_head on sessionry_run (queue, priority desc, key) where ready = 1;
CREATE VIEW sessionry_used as
select
    r.key as run,
    r.session as session,
    r.agent_id as agent_id,
    case when json_valid(r.agent) then json_extract(r.agent, '$.model') end as model,
    r.started_at as at,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.input_tokens'), 0) else 0 end as input_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.output_tokens'), 0) else 0 end as output_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_read_tokens'), 0) else 0 end as cache_read_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_write_tokens'), 0) else 0 end as cache_write_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.reasoning_tokens'), 0) else 0 end as reasoning_tokens,
    cast(round(cast(r.cost as real) * 1000000000) as integer) as billionths
from sessionry_run r
where r.started_at is not null;
CREATE INDEX sessionry_run_started on sessionry_run (started_at) where started_at is not null;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_token',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
