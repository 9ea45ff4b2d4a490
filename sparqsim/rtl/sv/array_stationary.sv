// Weight-stationary (FLOW = 1) or input-stationary (FLOW = 2) array: one operand is loaded down the columns and stays, the other moves
// right, sums move down and leave at the bottom.
`include "parameters.svh"
module array_stationary #(`PE_PARAMETERS, parameter FLOW = 1, ROWS = 2, COLS = 2, OVERLAP = 0, DEPTH = 0,
                          WEST = FLOW == 1 ? XW : `STORED_W, NORTH = FLOW == 1 ? `STORED_W : XW,
                          SW = FLOW == 1 ? AW : WW, LW = FLOW == 1 ? WW : AW, PLACE = OVERLAP && DEPTH ? (ROWS > 2 ? $clog2(ROWS) : 1) : 0) (
    input clk,
    input rst,
    output advance,
    input [ROWS-1:0] west_valid,
    input [ROWS-1:0] west_first,
    input [ROWS*WEST-1:0] west_data,
    output [ROWS-1:0] west_ready,
    input [COLS-1:0] north_valid,  // the load token, with the operands of row 0 (elastic, OVERLAP: with every operand)
    input [COLS*NORTH-1:0] north_data,
    output [COLS-1:0] north_ready,
    output [COLS-1:0] out_valid,
    output [COLS*`RESULT-1:0] out_data
);
    wire s_valid[0:ROWS*(COLS+1)-1], s_ready[0:ROWS*(COLS+1)-1];
    wire [SW:0] s[0:ROWS*(COLS+1)-1];  // {first, streamed operand}
    wire token[0:(ROWS+1)*COLS-1];
    wire [LW+PLACE-1:0] load[0:(ROWS+1)*COLS-1];
    wire above_valid[0:(ROWS+1)*COLS-1], below_ready[0:(ROWS+1)*COLS-1];
    wire signed [`ACC-1:0] above[0:(ROWS+1)*COLS-1];
    wire signed [`RESULT-1:0] psum[0:ROWS*COLS-1];  // for the test bench
    wire start[0:ROWS*COLS-1], taken[0:ROWS*COLS-1];
    wire finished[0:ROWS*COLS-1];  // the PE's sum is complete at the end of this cycle
    wire stalled[0:ROWS];  // in the rows above row i a PE takes a second cycle

    reg phase;
    assign stalled[0] = 1'b0;
    assign advance = ~stalled[ROWS];
    always @(posedge clk) phase <= ~rst & ~advance;

    genvar i, j, r;
    generate
        for (i = 0; i < ROWS; i = i + 1) begin : west
            edge_lane #(`PE_PASS, .ACTIVATION(FLOW == 1), .STAGES(DEPTH ? 0 : i), .DEPTH(DEPTH), .FLAGS(1)) lane(
                clk, rst, advance, west_valid[i], west_first[i], west_data[i*WEST+:WEST], west_ready[i],
                s_valid[i*(COLS+1)], s[i*(COLS+1)][SW], s[i*(COLS+1)][SW-1:0], start[i*COLS]);
        end
        for (j = 0; j < COLS; j = j + 1) begin : north
            wire unused_flag, valid, pop;
            wire [LW-1:0] operand;
            edge_lane #(`PE_PASS, .ACTIVATION(FLOW == 2), .STAGES(PLACE ? 0 : j), .DEPTH(PLACE ? DEPTH : 0), .FLAGS(1)) lane(
                clk, rst, advance, north_valid[j], 1'b0, north_data[j*NORTH+:NORTH], north_ready[j],
                valid, unused_flag, operand, pop);
            if (PLACE != 0) begin : by_place
                wire [ROWS-1:0] column_taken;
                for (r = 0; r < ROWS; r = r + 1) begin : of_row
                    assign column_taken[r] = taken[r*COLS+j];
                end
                load_control #(ROWS, LW, PLACE) control(clk, rst, valid, operand, pop, column_taken, token[j], load[j]);
            end else begin : by_token
                assign {token[j], load[j], pop} = {valid, operand, 1'b1};
            end
            assign above[j] = 0;
            assign above_valid[j] = 1'b1;
        end
        for (i = 0; i < ROWS; i = i + 1) begin : row
            wire [COLS-1:0] stall;
            assign stalled[i+1] = stalled[i] | (|stall);
            for (j = 0; j < COLS; j = j + 1) begin : col
                localparam A = i * (COLS + 1) + j, W = i * COLS + j;
                wire signed [`ACC-1:0] sum, kept_sum;  // at the end of the step; in the PE's register
                wire finish;
                assign finished[W] = finish;
                `PE_STATIONARY #(`PE_PASS, .FLOW(FLOW), .OVERLAP(OVERLAP), .DEPTH(DEPTH), .PLACE(PLACE)) pe(
                    .clk(clk), .rst(rst), .phase(phase), .advance(advance),
                    .valid(s_valid[A] & above_valid[W]), .room(s_ready[A+1] & below_ready[W+COLS]),
                    .first(s[A][SW]), .streamed(s[A][SW-1:0]), .token(token[W]), .load(load[W]),
                    .token_below(token[W+COLS]), .load_below(load[W+COLS]), .psum_above(above[W]), .psum_below(sum),
                    .start(start[W]), .taken(taken[W]), .finish(finish), .stall(stall[j]), .psum(kept_sum));
                assign psum[W] = kept_sum <<< SCALE;

                if (j < COLS - 1) begin : right
                    link #(SW + 1, DEPTH) link(clk, rst, advance, DEPTH ? start[W] : s_valid[A], s[A], s_ready[A+1],
                                               s_valid[A+1], s[A+1], start[W+1]);
                end else begin : right_end
                    assign s_ready[A+1] = 1'b1;
                end
                if (i == ROWS - 1) begin : down_end
                    assign below_ready[W+COLS] = 1'b1;
                    assign out_valid[j] = finish;
                    assign out_data[j*`RESULT+:`RESULT] = sum <<< SCALE;
                end else if (DEPTH == 0) begin : down_register
                    assign above[W+COLS] = kept_sum;
                    assign above_valid[W+COLS] = 1'b1;
                end else begin : down
`ifdef TWO_STAGES
                    // A PE starts when a sum is on its way; the sum comes when the product does, and so does the slot's end.
                    wire one, ready, there;
                    link #(1, DEPTH) promise(clk, rst, advance, start[W], 1'b1, below_ready[W+COLS],
                                             above_valid[W+COLS], one, start[W+COLS]);
                    link #(`ACC, DEPTH) sums(clk, rst, advance, finish, sum, ready,
                                             there, above[W+COLS], finished[W+COLS]);
`else
                    link #(`ACC, DEPTH) link(clk, rst, advance, finish, sum, below_ready[W+COLS],
                                             above_valid[W+COLS], above[W+COLS], start[W+COLS]);
`endif
                end
            end
        end
    endgenerate
endmodule
