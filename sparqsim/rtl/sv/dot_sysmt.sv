// Two threads on two narrow multipliers. A thread alone in having a product other than zero uses both multipliers, exactly; on a collision
// each thread has one, so its activation loses its low nibble if neither the activation nor the weight fits 4 bits.
module dot_sysmt #(parameter ROUND = 1) (
    input [15:0] x,
    input [15:0] w,
    output signed [`VALUE-1:0] value
);
    wire active1 = x[7:0] != 0 & w[7:0] != 0;
    wire active2 = x[15:8] != 0 & w[15:8] != 0;
    wire collision = active1 & active2;
    wire [7:0] lone_x = active2 ? x[15:8] : x[7:0];
    wire [7:0] lone_w = active2 ? w[15:8] : w[7:0];

    wire signed [5:0] narrow1, narrow2;  // an activation's nibble (up to 16 after rounding) or a 4-bit weight
    wire signed [8:0] wide1, wide2;      // a weight, or an unsigned activation
    wire high1, high2;
    sysmt_thread #(ROUND) thread1(x[7:0], w[7:0], narrow1, wide1, high1);
    sysmt_thread #(ROUND) thread2(x[15:8], w[15:8], narrow2, wide2, high2);

    wire signed [8:0] lone_wide = {lone_w[7], lone_w};
    wire signed [5:0] left1 = collision ? narrow1 : {2'b0, lone_x[3:0]};
    wire signed [5:0] left2 = collision ? narrow2 : {2'b0, lone_x[7:4]};
    wire signed [8:0] right1 = collision ? wide1 : lone_wide;
    wire signed [8:0] right2 = collision ? wide2 : lone_wide;
    wire signed [14:0] product1 = left1 * right1, product2 = left2 * right2;
    wire shift1 = collision & high1, shift2 = ~collision | high2;
    wire signed [18:0] shifted1 = shift1 ? product1 <<< 4 : product1;
    wire signed [18:0] shifted2 = shift2 ? product2 <<< 4 : product2;
    assign value = shifted1 + shifted2;
endmodule

// What a colliding thread puts on its multiplier.
module sysmt_thread #(parameter ROUND = 1) (
    input [7:0] x,
    input [7:0] w,
    output signed [5:0] narrow,
    output signed [8:0] wide,
    output high  // the product counts sixteenfold
);
    wire x_fits = x[7:4] == 0;
    wire w_fits = w[7:3] == 5'b00000 | w[7:3] == 5'b11111;
    wire up = (ROUND != 0) & x[3] & (x[2:0] != 0 | x[4]);  // half to even; 16 is allowed, nothing saturates
    wire [4:0] nibble = x[7:4] + up;
    assign high = ~x_fits & ~w_fits;
    assign narrow = x_fits ? {2'b0, x[3:0]} : w_fits ? {{2{w[3]}}, w[3:0]} : {1'b0, nibble};
    assign wide = ~x_fits & w_fits ? {1'b0, x} : {w[7], w};
endmodule
